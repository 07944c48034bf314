package dev.lithe.tensor;

import com.fasterxml.jackson.annotation.JsonValue;
import dev.lithe.fault.LitheException;
import java.util.Arrays;
import java.util.stream.Collectors;

/// Element types as safetensors names them, with their width in bytes and libtorch's number for
/// them.
public enum DType {
    U8(1, 0),
    I8(1, 1),
    I16(2, 2),
    I32(4, 3),
    I64(8, 4),
    F16(2, 5),
    F32(4, 6),
    F64(8, 7),
    BOOL(1, 11),
    BF16(2, 15),
    /// Four bits of exponent, three of mantissa; largest 448, no infinity.
    F8_E4M3(1, 24);

    private final int bytes;
    private final int code;

    DType(int bytes, int code) {
        this.bytes = bytes;
        this.code = code;
    }

    /// Bytes of one element.
    public int bytes() {
        return bytes;
    }

    /// The number that TorchScript uses for this type.
    public int code() {
        return code;
    }

    /// Whether weights may be stored in this type as they are, without a scale.
    public boolean isFloat() {
        return this == F16 || this == BF16 || this == F32 || this == F64;
    }

    /// The name in `config.json` and recipes (`float16`, `bfloat16`, ...).
    @JsonValue
    public String torchName() {
        return switch (this) {
            case U8 -> "uint8";
            case I8 -> "int8";
            case I16 -> "int16";
            case I32 -> "int32";
            case I64 -> "int64";
            case F16 -> "float16";
            case F32 -> "float32";
            case F64 -> "float64";
            case BOOL -> "bool";
            case BF16 -> "bfloat16";
            case F8_E4M3 -> "float8_e4m3fn";
        };
    }

    static DType ofCode(long code) {
        for (DType dtype : values()) {
            if (dtype.code == code) {
                return dtype;
            }
        }
        throw LitheException.badInput(
                "libtorch's element type %d is not one that Lithe stores", code);
    }

    /// The type that safetensors calls `name`; `where` names the tensor in the error.
    public static DType parse(String name, String where) {
        for (DType dtype : values()) {
            if (dtype.name().equals(name)) {
                return dtype;
            }
        }
        String known = Arrays.stream(values()).map(Enum::name).collect(Collectors.joining(", "));
        throw LitheException.badInput(
                "%s: dtype '%s' is unknown; Lithe reads %s", where, name, known);
    }
}
