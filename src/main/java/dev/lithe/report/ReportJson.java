package dev.lithe.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import org.jspecify.annotations.Nullable;

/// A report as JSON, and back.
public final class ReportJson {
    private static final JsonMapper JSON =
            JsonMapper.builder()
                    .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                    .enable(SerializationFeature.INDENT_OUTPUT)
                    .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
                    .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                    .build();

    private ReportJson() {}

    /// The JSON text, without a line break at its end.
    public static String write(Report report) {
        try {
            return JSON.writeValueAsString(report);
        } catch (JsonProcessingException e) {
            throw LitheException.internal(
                    "the report does not turn into JSON: " + e.getOriginalMessage(), e);
        }
    }

    /// Reads what [#write] wrote, or a later version with more fields; `where` names it in errors.
    public static Report read(String json, String where) {
        try {
            return requireComplete(JSON.readValue(json, Report.class), where);
        } catch (JsonMappingException e) {
            String reason =
                    e.getCause() instanceof LitheException known
                            ? known.getMessage()
                            : e.getOriginalMessage();
            throw LitheException.badInput("%s is no report of Lithe: %s", where, reason)
                    .causedBy(e);
        } catch (JsonProcessingException e) {
            throw LitheException.badInput("%s is no JSON: %s", where, e.getOriginalMessage())
                    .causedBy(e);
        }
    }

    /// Jackson leaves null what a file lacks.
    private static Report requireComplete(@Nullable Report report, String where) {
        if (report == null || report.model() == null || report.evaluation() == null) {
            throw LitheException.badInput("%s is no report of Lithe: parts are missing", where);
        }
        return report;
    }
}
