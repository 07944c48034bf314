package dev.lithe.model;

import dev.lithe.tensor.DType;

/// How a linear layer's weights are stored, without the weights: enough to plan with.
public sealed interface LinearForm {
    /// Bytes on disk of N outputs by K inputs in this form, bias aside.
    long bytes(long n, long k);

    /// A short name for people: `float16`, `int8 per channel`, `int4 group 32`.
    String label();

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
    }

    /// Eight bits per weight, a scale per output, activations quantized per token.
    record Int8(DType scaleType) implements LinearForm {
        @Override
        public long bytes(long n, long k) {
            return n * k + n * scaleType.bytes();
        }

        @Override
        public String label() {
            return "int8 per channel, dynamic activations";
        }
    }

    /// `bits` per weight, a scale (and a zero point unless symmetric) per group; weights only.
    ///
    /// @param groupSize weights of a row that share a scale, or 0 for the whole row
    record Grouped(int bits, int groupSize, boolean symmetric, DType scaleType)
            implements LinearForm {
        private static final long WORD_BITS = 32;
        private static final long SHAPE_BYTES = 16;

        @Override
        public long bytes(long n, long k) {
            long groups = groups(k);
            long codes = n * words(k) * 4;
            long zeros = symmetric ? 0 : words(n) * groups * 4;
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
            return "int" + bits + granularity + (symmetric ? "" : ", zero points");
        }
    }
}
