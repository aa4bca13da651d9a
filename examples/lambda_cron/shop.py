"""A schedule in SQLite that invokes a Lambda function: by a Quartz expression, every two seconds, five times."""

import rota

app = rota.App("shop")

app.schedule(
    "report",
    rota.Cron("0/2 * * * * ?", timezone="Europe/Berlin"),
    "lambda:shop-report",
    payload={"shop": "Hamburg", "until": "<rota-scheduled>", "run": "<rota-run-id>"},
    max_executions=5,
    retry=rota.Retry(attempts=3, initial=0.5),
)
