package dev.lithe.serve;

import dev.lithe.fault.LitheException;
import io.vertx.core.net.HostAndPort;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.net.InetAddress;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntConsumer;
import org.eclipse.microprofile.config.inject.ConfigProperty;

/// Lets in the HTTP requests that [Access] lets in. Health and metrics are everybody's, so that
/// probes and scrapers need no token, and so is the page at `/`, which asks for one; they hold no
/// text.
@Singleton
class AccessHttp {
    private static final String CALLER = "lithe-caller";
    private static final String FURTHER = "lithe-further";

    private final Access access;
    private final boolean local;

    AccessHttp(Access access, @ConfigProperty(name = "quarkus.http.host") String host) {
        this.access = access;
        this.local = isLoopback(host);
    }

    void routes(@Observes Router router) {
        router.route().order(Integer.MIN_VALUE).handler(this::checkHost);
        router.route("/v1/*").order(Integer.MIN_VALUE + 1).handler(this::check);
    }

    /// A page of anybody's can have its own name point to this machine, and would then be let into
    /// a server that asks for no token because it listens to this machine alone (DNS rebinding).
    private void checkHost(RoutingContext context) {
        HostAndPort asked = context.request().authority();
        if (!local || access.asksForTokens() || asked == null || isLoopback(asked.host())) {
            context.next();
        } else {
            HttpErrors.refuse(
                    context,
                    421,
                    "this server answers this machine alone, not '"
                            + asked.host()
                            + "'; ask for localhost, or start it with --host or --token-file",
                    "misdirected_request");
        }
    }

    private static boolean isLoopback(String host) {
        if (host.equals("localhost")) {
            return true;
        }
        try {
            return InetAddress.ofLiteral(host.replaceAll("^\\[|\\]$", "")).isLoopbackAddress();
        } catch (IllegalArgumentException _) {
            return false;
        }
    }

    private void check(RoutingContext context) {
        String authorization = Objects.toString(context.request().getHeader("authorization"), "");
        Optional<Access.Caller> caller =
                access.caller(authorization, context.request().remoteAddress().hostAddress());
        if (caller.isEmpty()) {
            context.response().putHeader("www-authenticate", "Bearer");
            HttpErrors.refuse(
                    context,
                    401,
                    "no valid token; send 'authorization: Bearer TOKEN'",
                    "invalid_api_key");
            return;
        }
        context.put(CALLER, caller.get());
        IntConsumer further = requests -> access.admit(caller.get(), requests);
        context.put(FURTHER, further);
        try {
            further.accept(1);
            context.next();
        } catch (LitheException e) {
            new HttpCall(context, () -> {}).fail(e);
        }
    }

    /// What a request takes, from any thread, for the generations that it asks for beyond its
    /// first; fails where the rate does not let it.
    static IntConsumer further(RoutingContext context) {
        IntConsumer further = context.get(FURTHER);
        return further == null ? _ -> {} : further;
    }

    /// Lets in those alone that may change weights.
    static void requireAdmin(RoutingContext context) {
        Access.Caller caller = context.get(CALLER);
        if (caller != null && caller.admin()) {
            context.next();
        } else {
            HttpErrors.refuse(
                    context,
                    403,
                    "this token may not change weights; use an admin's",
                    "insufficient_permissions");
        }
    }
}
