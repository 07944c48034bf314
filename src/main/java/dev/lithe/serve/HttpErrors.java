package dev.lithe.serve;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import io.vertx.ext.web.RoutingContext;
import java.util.Optional;

/// Faults as HTTP statuses with OpenAI's error object.
final class HttpErrors {
    static final int TOO_MANY = 429;
    private static final JsonMapper JSON = new JsonMapper();

    /// What a client gets to see of an exception.
    ///
    /// @param retrySeconds when it may try again, where that is all that is wrong
    record Failure(
            int status,
            String type,
            String code,
            String message,
            Optional<String> field,
            long retrySeconds) {
        /// @param chat whether the request held messages instead of a prompt
        ObjectNode json(boolean chat) {
            ObjectNode root = JSON.createObjectNode();
            ObjectNode error = root.putObject("error");
            String parameter = field.map(name -> parameter(name, chat)).orElse(null);
            error.put("message", parameter == null ? message : parameter + cause())
                    .put("type", type);
            error.put("param", parameter);
            error.put("code", code.isEmpty() ? null : code);
            return root;
        }

        /// The message without the name of the field that it begins with.
        private String cause() {
            return message.substring(message.indexOf(':'));
        }

        /// OpenAI's names of the fields that the rooms below know by others.
        private static String parameter(String field, boolean chat) {
            return switch (field) {
                case "max_new_tokens" -> "max_tokens";
                case "stop_strings" -> "stop";
                case "prompt" -> chat ? "messages" : "prompt";
                case "top_logprobs" -> chat ? "top_logprobs" : "logprobs";
                default -> field;
            };
        }
    }

    private HttpErrors() {}

    static Failure of(RuntimeException e) {
        LitheException known =
                e instanceof LitheException lithe
                        ? lithe
                        : LitheException.internal("the request failed: " + e, e);
        return switch (known.fault()) {
            case BAD_INPUT -> failure(400, "invalid_request_error", "", known);
            case NOT_FOUND -> failure(404, "invalid_request_error", "model_not_found", known);
            case EXHAUSTED -> failure(TOO_MANY, "rate_limit_error", "overloaded", known);
            case UNAVAILABLE -> failure(503, "server_error", "unavailable", known);
            case CANCELLED -> failure(499, "server_error", "cancelled", known);
            case DEADLINE -> failure(504, "server_error", "timeout", known);
            case QUALITY_GATE -> failure(409, "server_error", "", known);
            case INTERNAL -> failure(500, "server_error", "internal_error", known);
        };
    }

    private static Failure failure(int status, String type, String code, LitheException e) {
        String message = e.fault() == Fault.INTERNAL ? Statuses.log(e) : e.getMessage();
        long wait = Statuses.retry(e).plusMillis(999).toSeconds();
        return new Failure(status, type, code, message, e.field(), wait);
    }

    /// Answers a request that gets no further.
    static void refuse(RoutingContext context, int status, String message, String code) {
        ObjectNode root = JSON.createObjectNode();
        root.putObject("error")
                .put("message", message)
                .put("type", "invalid_request_error")
                .putNull("param")
                .put("code", code);
        context.response()
                .setStatusCode(status)
                .putHeader("content-type", "application/json")
                .end(root.toString());
    }
}
