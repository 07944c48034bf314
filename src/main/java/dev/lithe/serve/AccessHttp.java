package dev.lithe.serve;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.util.Objects;
import java.util.Optional;

/// Lets in the HTTP requests that [Access] lets in. Health and metrics are everybody's, so that
/// probes and scrapers need no token, and so is the page at `/`, which asks for one; they hold no
/// text.
@Singleton
class AccessHttp {
    private static final JsonMapper JSON = new JsonMapper();
    private static final String ADMIN = "lithe-admin";

    private final Access access;

    AccessHttp(Access access) {
        this.access = access;
    }

    void routes(@Observes Router router) {
        router.route("/v1/*").order(Integer.MIN_VALUE + 1).handler(this::check);
    }

    private void check(RoutingContext context) {
        String authorization = Objects.toString(context.request().getHeader("authorization"), "");
        Optional<Access.Caller> caller =
                access.caller(authorization, context.request().remoteAddress().hostAddress());
        if (caller.isEmpty()) {
            context.response().putHeader("www-authenticate", "Bearer");
            refuse(
                    context,
                    401,
                    "no valid token; send 'authorization: Bearer TOKEN'",
                    "invalid_api_key");
        } else if (!access.admit(caller.get())) {
            new HttpCall(context, () -> {}).fail(access.tooMany());
        } else {
            context.put(ADMIN, caller.get().admin());
            context.next();
        }
    }

    /// Lets in those alone that may change weights.
    static void requireAdmin(RoutingContext context) {
        if (Boolean.TRUE.equals(context.get(ADMIN))) {
            context.next();
        } else {
            refuse(
                    context,
                    403,
                    "this token may not change weights; use an admin's",
                    "insufficient_permissions");
        }
    }

    private static void refuse(RoutingContext context, int status, String message, String code) {
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
