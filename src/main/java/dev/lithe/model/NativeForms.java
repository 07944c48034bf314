package dev.lithe.model;

/// What the kernels of `src/main/c` run: float keys and values, rotated ones, no heavy hitters,
/// norms without biases, and linears in forms that they read.
final class NativeForms {
    /// Sums of products of bytes stay within 32 bits up to this many.
    private static final long LONGEST_GROUP = 65_536;

    private NativeForms() {}

    static boolean takes(ModelSpec spec, LinearReader reader) {
        return spec.kvCache().equals(KvCacheForm.FLOAT)
                && spec.sparseAttention().heavy() == 0
                && takesExperts(spec, reader)
                && !spec.style().layerNorms()
                && !spec.style().learnedPositions()
                && Architecture.parts(spec).stream()
                        .flatMap(part -> part.linears().stream())
                        .allMatch(name -> takes(reader.form(name), name.inFeatures()));
    }

    /// Experts must be whole blocks of outputs, and their scores there before what reads them.
    private static boolean takesExperts(ModelSpec spec, LinearReader reader) {
        return !spec.experts().any()
                || spec.intermediateSize() / spec.experts().count() % NativeWeights.OUTPUTS == 0
                        && Architecture.linears(spec).stream()
                                .filter(LinearName::routes)
                                .noneMatch(name -> reader.form(name) instanceof LinearForm.LowRank);
    }

    static boolean takes(LinearForm form, long inFeatures) {
        return switch (form) {
            case LinearForm.LowRank factors ->
                    (factors.base() == null || takes(factors.base(), inFeatures))
                            && takes(factors.right(), inFeatures)
                            && takes(factors.left(), factors.rank());
            case LinearForm.Shared shared -> takes(shared.of(), inFeatures);
            case LinearForm.Dense _, LinearForm.Codebook _, LinearForm.Masked _ -> true;
            case LinearForm.Int8 _ -> inFeatures <= LONGEST_GROUP;
            case LinearForm.Float8 float8 -> !float8.dynamicActivations();
            case LinearForm.Grouped grouped ->
                    (grouped.groupSize() == 0 ? inFeatures : grouped.groupSize()) <= LONGEST_GROUP;
        };
    }
}
