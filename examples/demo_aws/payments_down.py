"""A payment service that is down."""


def handler(event: dict[str, int], _context: object) -> dict[str, object]:
    raise ConnectionError(f"the payment service is down, order {event['order']} is not paid")
