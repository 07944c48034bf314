package dev.lithe.checkpoint;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/// How GGUF stores numbers: blocks of so many numbers in so many bytes (`ggml-common.h` of
/// llama.cpp).
public enum GgufType {
    F32(0, 0, 1, 4),
    F16(1, 1, 1, 2),
    /// 4 bits, `w = (q - 8) d`.
    Q4_0(2, 2, 32, 18),
    /// 4 bits, `w = q d + m`.
    Q4_1(3, 3, 32, 20),
    /// 5 bits, `w = (q - 16) d`.
    Q5_0(6, 8, 32, 22),
    /// 5 bits, `w = q d + m`.
    Q5_1(7, 9, 32, 24),
    /// 8 bits, `w = q d`.
    Q8_0(8, 7, 32, 34),
    Q2_K(10, 10, 256, 84),
    Q3_K(11, 12, 256, 110),
    /// 4 bits, in blocks of 256 with 6-bit scales and minima for each 32.
    Q4_K(12, 15, 256, 144),
    /// 5 bits, the same.
    Q5_K(13, 17, 256, 176),
    /// 6 bits, in blocks of 256 with 8-bit scales for each 16.
    Q6_K(14, 18, 256, 210),
    BF16(30, 32, 1, 2);

    private final int code;
    private final int fileType;
    private final int block;
    private final int bytes;

    GgufType(int code, int fileType, int block, int bytes) {
        this.code = code;
        this.fileType = fileType;
        this.block = block;
        this.bytes = bytes;
    }

    /// The number that tensors carry.
    public int code() {
        return code;
    }

    /// The number that a file of mostly this type carries (`general.file_type`).
    public int fileType() {
        return fileType;
    }

    /// Numbers in a block; a row is whole blocks.
    public int block() {
        return block;
    }

    /// Bytes of `numbers` of them, a multiple of [#block].
    public long bytes(long numbers) {
        return numbers / block * bytes;
    }

    /// What rows that are no whole blocks of this type are stored as instead, where Lithe writes
    /// it: as in llama.cpp, one of about as many bits in blocks of 32, or else float16.
    public GgufType forRow(long numbers) {
        if (numbers % block == 0) {
            return this;
        }
        GgufType smaller =
                switch (this) {
                    case Q4_K -> Q5_0;
                    case Q5_K -> Q5_1;
                    case Q6_K -> Q8_0;
                    default -> F16;
                };
        return numbers % smaller.block == 0 ? smaller : F16;
    }

    /// Whether Lithe reads it.
    boolean readable() {
        return this != Q2_K && this != Q3_K;
    }

    /// The names of all types that Lithe reads.
    static String readableNames() {
        return Arrays.stream(values())
                .filter(GgufType::readable)
                .map(Enum::name)
                .collect(Collectors.joining(", "));
    }

    /// The type with this number, if Lithe knows it.
    public static Optional<GgufType> of(int code) {
        for (GgufType type : values()) {
            if (type.code == code) {
                return Optional.of(type);
            }
        }
        return Optional.empty();
    }
}
