package dev.lithe.serve;

import dev.lithe.fault.LitheException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Optional;

/// What a server tells of itself, beside metrics.
///
/// @param jsonLog whether the log is lines of JSON, with one per request and per phase of the start
/// @param traces where spans go by OTLP over gRPC; none where empty
public record ObserveOptions(boolean jsonLog, Optional<URI> traces) {
    /// Warnings as text.
    public static final ObserveOptions NONE = new ObserveOptions(false, Optional.empty());

    /// From what the command line says.
    ///
    /// @param endpoint such as `http://127.0.0.1:4317`; empty for none
    /// @throws LitheException where that is no address
    public static ObserveOptions of(boolean jsonLog, String endpoint) {
        if (endpoint.isEmpty()) {
            return new ObserveOptions(jsonLog, Optional.empty());
        }
        try {
            var uri = new URI(endpoint);
            if (uri.getHost() != null
                    && ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))) {
                return new ObserveOptions(jsonLog, Optional.of(uri));
            }
        } catch (URISyntaxException e) {
            throw noAddress(endpoint).causedBy(e);
        }
        throw noAddress(endpoint);
    }

    private static LitheException noAddress(String endpoint) {
        return LitheException.badInput(
                "--traces '%s' is no address; use for example http://127.0.0.1:4317", endpoint);
    }
}
