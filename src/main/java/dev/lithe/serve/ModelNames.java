package dev.lithe.serve;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import java.util.List;
import java.util.stream.Stream;

/// What protocols that know models but no variants call them: each variant by its name, and all of
/// them together by the name of the first one's folder.
final class ModelNames {
    private ModelNames() {}

    static List<String> of(Router router) {
        Stream<String> variants = router.variants().stream().map(Variant::name);
        return Stream.concat(variants, Stream.of(common(router))).distinct().toList();
    }

    /// The name that stands for all variants.
    static String common(Router router) {
        var folder = router.first().folder().getFileName();
        return folder == null ? router.first().name() : folder.toString();
    }

    /// The variant that a name stands for; empty for all, as for no name.
    ///
    /// @throws LitheException `NOT_FOUND` where it is unknown
    static String variant(Router router, String model) {
        require(router, model);
        boolean variant = router.variants().stream().anyMatch(each -> each.name().equals(model));
        return variant ? model : "";
    }

    private static void require(Router router, String model) {
        if (!model.isEmpty() && !of(router).contains(model)) {
            throw LitheException.of(
                    Fault.NOT_FOUND,
                    "model '%s' is not served; known: %s",
                    model.length() > 64 ? model.substring(0, 64) + "..." : model,
                    String.join(", ", of(router)));
        }
    }
}
