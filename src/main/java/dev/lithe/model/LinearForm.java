package dev.lithe.model;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.tensor.DType;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// How a linear layer's weights are stored, without the weights: enough to plan with.
public sealed interface LinearForm {
    /// Bytes on disk of N outputs by K inputs in this form, bias aside.
    long bytes(long n, long k);

    /// A short name for people: `float16`, `int8 per channel`, `int4 group 32`.
    String label();

    /// How `config.json` describes it; null where it says nothing.
    @Nullable Scheme scheme();

    /// The form of `module`, and of the linears that it is made of, by their names.
    default Map<String, LinearForm> modules(String module) {
        Map<String, LinearForm> modules = new LinkedHashMap<>();
        modules.put(module, this);
        if (this instanceof LowRank factors) {
            modules.putAll(factors.right().modules(module + ".right"));
            modules.putAll(factors.left().modules(module + ".left"));
            if (factors.base() != null) {
                modules.putAll(factors.base().modules(module + ".base"));
            }
        }
        return modules;
    }

    /// Floats.
    record Dense(DType dtype) implements LinearForm {
        @Override
        public long bytes(long n, long k) {
            return n * k * dtype.bytes();
        }

        @Override
        public String label() {
            return dtype.torchName();
        }

        @Override
        public @Nullable Scheme scheme() {
            return null;
        }
    }

    /// Eight bits per weight, a scale per output.
    ///
    /// @param dynamicActivations whether activations are quantized too, per token
    record Int8(DType scaleType, boolean dynamicActivations) implements LinearForm {
        /// With quantized activations.
        public Int8(DType scaleType) {
            this(scaleType, true);
        }

        @Override
        public long bytes(long n, long k) {
            return n * k + n * scaleType.bytes();
        }

        @Override
        public String label() {
            return "int8 per channel, " + activations(dynamicActivations);
        }

        @Override
        public Scheme scheme() {
            return Scheme.int8(dynamicActivations);
        }
    }

    /// Eight-bit floats (E4M3), a scale per output or one for all.
    ///
    /// @param dynamicActivations whether activations are rounded to the same floats, per token
    record Float8(boolean perTensor, boolean dynamicActivations, DType scaleType)
            implements LinearForm {
        @Override
        public long bytes(long n, long k) {
            return n * k + (perTensor ? 1 : n) * scaleType.bytes();
        }

        @Override
        public String label() {
            return "float8 per "
                    + (perTensor ? "tensor, " : "channel, ")
                    + activations(dynamicActivations);
        }

        @Override
        public Scheme scheme() {
            return Scheme.float8(perTensor, dynamicActivations);
        }
    }

    private static String activations(boolean dynamic) {
        return dynamic ? "dynamic activations" : "weights only";
    }

    /// An index of `bits` per weight into a table of floats, times a scale per group; weights only.
    ///
    /// @param groupSize weights of a row that share a scale, or 0 for no scales
    /// @param rowTables whether each output has a table of its own; else the tensor has one
    /// @param scaleType of the scales; int8 where they are quantized themselves, in blocks
    record Codebook(int bits, int groupSize, boolean rowTables, DType tableType, DType scaleType)
            implements LinearForm {
        /// Scales, row by row, that share a scale when they are quantized.
        public static final int SCALE_BLOCK = 256;

        private static final long WORD_BITS = 32;
        private static final long SHAPE_BYTES = 16;

        public Codebook {
            if (groupSize == 0) {
                scaleType = tableType; // one spelling of a form without scales
            }
        }

        @Override
        public long bytes(long n, long k) {
            long tables = (rowTables ? n : 1) * entries() * tableType.bytes();
            long scales = n * groups(k) * scaleType.bytes();
            long blocks = quantizedScales() ? (scaleBlocks(n, k) + 1) * Float.BYTES : 0;
            return n * words(k) * 4 + tables + scales + blocks + SHAPE_BYTES;
        }

        /// Numbers in a table.
        public long entries() {
            return 1L << bits;
        }

        /// Scales in a row of K weights.
        public long groups(long k) {
            return groupSize == 0 ? 0 : k / groupSize;
        }

        /// Whether the scales are 8-bit integers with scales of their own.
        public boolean quantizedScales() {
            return groupSize != 0 && scaleType == DType.I8;
        }

        /// Blocks of scales that share a scale.
        long scaleBlocks(long n, long k) {
            return (n * groups(k) + SCALE_BLOCK - 1) / SCALE_BLOCK;
        }

        /// 32-bit words that hold `count` indices.
        long words(long count) {
            return (count * bits + WORD_BITS - 1) / WORD_BITS;
        }

        @Override
        public String label() {
            return "codebook "
                    + entries()
                    + (rowTables ? " per channel" : " per tensor")
                    + (groupSize == 0 ? "" : ", scale group " + groupSize)
                    + (quantizedScales() ? ", 8-bit scales" : "");
        }

        @Override
        public Scheme scheme() {
            return Scheme.codebook(bits, groupSize);
        }
    }

    /// Floats of which only some are stored, and a bit for each weight that says whether it is; the
    /// others are 0.
    ///
    /// @param kept weights that are stored
    /// @param of weights, N K
    record Masked(DType valueType, long kept, long of) implements LinearForm {
        private static final long WORD_BITS = 32;
        private static final long SHAPE_BYTES = 16;
        private static final double PERCENT = 100;

        @Override
        public long bytes(long n, long k) {
            return n * words(k) * 4 + kept * valueType.bytes() + SHAPE_BYTES;
        }

        /// 32-bit words of a row's mask.
        static long words(long k) {
            return (k + WORD_BITS - 1) / WORD_BITS;
        }

        @Override
        public String label() {
            return "%s, %.1f %% zeros left out"
                    .formatted(valueType.torchName(), PERCENT * (of - kept) / of);
        }

        @Override
        public Scheme scheme() {
            return Scheme.masked();
        }
    }

    /// Two thin linears one after the other, beside another one or not: `W = left right + base`.
    /// Each is stored as a linear of its own, called `right`, `left` and `base` in this one's name.
    ///
    /// @param base null where there is none
    /// @param right of r outputs and K inputs
    /// @param left of N outputs and r inputs
    /// @param rank r
    record LowRank(@Nullable LinearForm base, LinearForm right, LinearForm left, long rank)
            implements LinearForm {
        /// Two factors in `form`.
        public LowRank(LinearForm form, long rank) {
            this(null, form, form, rank);
        }

        @Override
        public long bytes(long n, long k) {
            return (base == null ? 0 : base.bytes(n, k))
                    + right.bytes(rank, k)
                    + left.bytes(n, rank);
        }

        /// The highest rank at which two factors have fewer numbers than N K.
        public static long breakEven(long n, long k) {
            return (n * k - 1) / (n + k);
        }

        @Override
        public String label() {
            String factors =
                    left.equals(right) ? left.label() : right.label() + " and " + left.label();
            return (base == null ? "" : base.label() + " + ") + "rank " + rank + ", " + factors;
        }

        @Override
        public Scheme scheme() {
            return Scheme.lowRank();
        }
    }

    /// The weights of another linear, which are stored there and nowhere else.
    ///
    /// @param of the form that they have there
    /// @param owner the other linear's module
    record Shared(LinearForm of, String owner) implements LinearForm {
        @Override
        public long bytes(long n, long k) {
            return 0;
        }

        @Override
        public String label() {
            return of.label() + " shared";
        }

        @Override
        public Scheme scheme() {
            return Scheme.shared();
        }
    }

    /// What code means zero in a group of integers.
    enum ZeroPoint {
        /// Code 0 of the signed codes: a symmetric form.
        NONE,
        /// A code of the group's own.
        INTEGER,
        /// Any of 256 equal steps of the codes' range, so also a point between two codes.
        FRACTIONAL
    }

    /// `bits` per weight, a scale (and a zero point unless symmetric) per group; weights only.
    ///
    /// @param groupSize weights of a row that share a scale, or 0 for the whole row
    record Grouped(int bits, int groupSize, ZeroPoint zero, DType scaleType) implements LinearForm {
        /// With no zero points where `symmetric`, and integer ones otherwise.
        public Grouped(int bits, int groupSize, boolean symmetric, DType scaleType) {
            this(bits, groupSize, symmetric ? ZeroPoint.NONE : ZeroPoint.INTEGER, scaleType);
        }

        /// Whether it has no zero points.
        public boolean symmetric() {
            return zero == ZeroPoint.NONE;
        }

        private static final long WORD_BITS = 32;
        private static final long SHAPE_BYTES = 16;

        @Override
        public long bytes(long n, long k) {
            long groups = groups(k);
            long codes = n * words(k) * 4;
            long zeros =
                    switch (zero) {
                        case NONE -> 0;
                        case INTEGER -> words(n) * groups * 4;
                        case FRACTIONAL -> n * groups;
                    };
            return codes + n * groups * scaleType.bytes() + zeros + SHAPE_BYTES;
        }

        /// Groups in a row of K weights.
        public long groups(long k) {
            return groupSize == 0 ? 1 : k / groupSize;
        }

        /// 32-bit words that hold `count` codes.
        long words(long count) {
            return (count * bits + WORD_BITS - 1) / WORD_BITS;
        }

        @Override
        public String label() {
            String granularity = groupSize == 0 ? " per channel" : " group " + groupSize;
            String zeros =
                    switch (zero) {
                        case NONE -> "";
                        case INTEGER -> ", zero points";
                        case FRACTIONAL -> ", fractional zero points";
                    };
            return "int" + bits + granularity + zeros;
        }

        @Override
        public Scheme scheme() {
            return zero == ZeroPoint.FRACTIONAL
                    ? Scheme.fractionalZeros(bits, groupSize)
                    : new Scheme(bits, symmetric(), groupSize, false);
        }
    }
}
