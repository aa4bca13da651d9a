import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.TimeZone;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.quartz.CronExpression;

/**
 * Asks the real Quartz. Reads lines "zone TAB expression TAB start start ..." (epoch seconds), writes for each either
 * "invalid" or, start by start, the following fire times: "t t t" joined by ";". "null" ends a list that ran out;
 * "error" stands for an exception and "endless" for a search that did not end within two seconds.
 */
public class QuartzVectors {
    static final int TIMES = 4;

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        ExecutorService pool = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split("\t");
            CronExpression expression;
            try {
                expression = new CronExpression(parts[1]);
            } catch (Exception refused) {
                System.out.println("invalid");
                continue;
            }
            expression.setTimeZone(TimeZone.getTimeZone(parts[0]));
            StringBuilder out = new StringBuilder();
            for (String start : parts[2].split(" ")) {
                if (out.length() > 0) {
                    out.append(';');
                }
                Future<String> answer = pool.submit((Callable<String>) () -> times(expression, Long.parseLong(start)));
                try {
                    out.append(answer.get(2, TimeUnit.SECONDS));
                } catch (TimeoutException slow) {
                    out.append("endless");
                }
            }
            System.out.println(out);
        }
        System.out.flush();
        System.exit(0);
    }

    static String times(CronExpression expression, long start) {
        StringBuilder out = new StringBuilder();
        Date at = new Date(start * 1000);
        for (int i = 0; i < TIMES; i++) {
            if (i > 0) {
                out.append(' ');
            }
            try {
                at = expression.getTimeAfter(at);
            } catch (RuntimeException broken) {
                return out.append("error").toString();
            }
            if (at == null) {
                return out.append("null").toString();
            }
            out.append(at.getTime() / 1000);
        }
        return out.toString();
    }
}
