package dev.lithe.serve;

import jakarta.inject.Singleton;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jboss.logging.Logger;
import org.jboss.logging.MDC;

/// One line of the log per call. Its figures are also in the line's diagnostic context, which the
/// JSON form of the log tells field by field.
@Singleton
class RequestLog {
    private static final Logger LOG = Logger.getLogger("dev.lithe.requests");

    void write(CallRecord record) {
        if (!LOG.isInfoEnabled()) {
            return;
        }
        Map<String, String> fields = fields(record);
        fields.forEach(MDC::put);
        try {
            LOG.info(
                    String.format(
                            Locale.ROOT,
                            "%s %s %s %s: %d + %d tokens, %.1f ms",
                            record.id(),
                            record.method(),
                            record.status(),
                            record.variant().isEmpty() ? "-" : record.variant(),
                            record.promptTokens(),
                            record.outputTokens(),
                            record.millis()));
        } finally {
            fields.keySet().forEach(MDC::remove);
        }
    }

    static Map<String, String> fields(CallRecord record) {
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("request_id", record.id());
        fields.put("method", record.method());
        fields.put("status", record.status());
        fields.put("variant", record.variant());
        fields.put("prompt_tokens", Integer.toString(record.promptTokens()));
        fields.put("output_tokens", Integer.toString(record.outputTokens()));
        fields.put("queue_ms", millis(record.queueMillis()));
        fields.put("first_token_ms", millis(record.firstMillis()));
        fields.put("duration_ms", millis(record.millis()));
        return fields;
    }

    private static String millis(double value) {
        return String.format(Locale.ROOT, "%.3f", value);
    }
}
