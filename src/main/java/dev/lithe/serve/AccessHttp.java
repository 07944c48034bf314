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
/// probes and scrapers need no token; they hold no text.
@Singleton
class AccessHttp {
    private static final JsonMapper JSON = new JsonMapper();

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
            ObjectNode root = JSON.createObjectNode();
            root.putObject("error")
                    .put("message", "no valid token; send 'authorization: Bearer TOKEN'")
                    .put("type", "invalid_request_error")
                    .putNull("param")
                    .put("code", "invalid_api_key");
            context.response()
                    .setStatusCode(401)
                    .putHeader("www-authenticate", "Bearer")
                    .putHeader("content-type", "application/json")
                    .end(root.toString());
        } else if (!access.admit(caller.get())) {
            new HttpCall(context, () -> {}).fail(access.tooMany());
        } else {
            context.next();
        }
    }
}
