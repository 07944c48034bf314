package dev.lithe.tensor;

import ai.djl.engine.EngineException;
import ai.djl.ndarray.NDList;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.IValueUtils;
import ai.djl.pytorch.jni.JniUtils;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/// The numerical code: every file of `src/main/torchscript`, assembled into one TorchScript module
/// and loaded once.
///
/// A TorchScript archive is a zip of four stored entries: the pickled (empty) object, its
/// constants, the operator-schema version, and the source text, which libtorch compiles. Python is
/// not involved.
final class Kernels {
    private static final List<String> FILES =
            List.of(
                    "tensor",
                    "gguf",
                    "foreign",
                    "linear",
                    "decoder",
                    "kvcache",
                    "quantize",
                    "kquants",
                    "gptq",
                    "prune",
                    "reshape",
                    "slice",
                    "experts",
                    "sparsify",
                    "sinks",
                    "pages",
                    "heavy",
                    "gqa",
                    "hqq",
                    "codebook",
                    "factorize",
                    "share",
                    "autoround",
                    "scale",
                    "rotate",
                    "evaluate",
                    "calibrate",
                    "errors",
                    "student",
                    "losses",
                    "train");

    /// `class M` with an empty constructor and the attribute `training = False`, in pickle protocol
    /// 2.
    private static final byte[] OBJECT = pickledObject();

    private static final byte[] NO_CONSTANTS = {(byte) 0x80, 2, ')', '.'};

    private Kernels() {}

    private static final class Loaded {
        static final PtNDManager MANAGER = Torch.newManager();
        static final PtSymbolBlock MODULE = load(MANAGER);
    }

    private static PtSymbolBlock module() {
        try {
            return Loaded.MODULE;
        } catch (ExceptionInInitializerError e) {
            throw Torch.unwrap(e);
        }
    }

    static IValue run(String method, Object... arguments) {
        PtSymbolBlock module = module();
        IValue[] inputs = new IValue[arguments.length];
        List<IValue> temporary = new ArrayList<>(arguments.length);
        try {
            for (int i = 0; i < arguments.length; i++) {
                inputs[i] = convert(arguments[i], temporary);
            }
            return IValueUtils.runMethod(module, method, inputs);
        } catch (EngineException e) {
            throw LitheException.internal("kernel '" + method + "' failed: " + firstReason(e), e);
        } finally {
            temporary.forEach(IValue::close);
        }
    }

    /// Runs a method outside inference mode, where gradients can be recorded. DJL gives access to
    /// that only by way of named arrays: one array names the method, those of a list share a name
    /// that ends in brackets.
    static List<IValue> train(String method, List<Value> arguments) {
        try (var inputs = new NDList();
                PtNDManager temporary = Torch.newManager()) {
            PtNDArray name = (PtNDArray) temporary.create(0L);
            name.setName("module_method:" + method);
            inputs.add(name);
            for (int i = 0; i < arguments.size(); i++) {
                IValue handle = arguments.get(i).handle();
                boolean tensor = handle.isTensor();
                PtNDArray[] arrays =
                        tensor
                                ? new PtNDArray[] {handle.toTensor(temporary)}
                                : handle.toTensorArray(temporary);
                for (PtNDArray array : arrays) {
                    array.setName(tensor ? "argument" + i : "argument" + i + "[]");
                    inputs.add(array);
                }
            }
            return IValueUtils.forward(module(), inputs, true).stream()
                    .map(result -> IValue.from((PtNDArray) result))
                    .toList();
        } catch (EngineException e) {
            throw LitheException.internal("kernel '" + method + "' failed: " + firstReason(e), e);
        }
    }

    private static IValue convert(Object argument, List<IValue> temporary) {
        IValue made =
                switch (argument) {
                    case Value value -> value.handle();
                    case Long number -> IValue.from(number);
                    case Integer number -> IValue.from(number.longValue());
                    case Double number -> IValue.from(number);
                    case Float number -> IValue.from(number.doubleValue());
                    case Boolean flag -> IValue.from(flag);
                    case String text -> IValue.from(text);
                    case long[] list -> IValue.listFrom(list);
                    case double[] list -> IValue.listFrom(list);
                    default ->
                            throw LitheException.of(
                                    Fault.INTERNAL,
                                    "no kernel takes a %s",
                                    argument.getClass().getName());
                };
        if (!(argument instanceof Value)) {
            temporary.add(made);
        }
        return made;
    }

    /// The line of a TorchScript failure that says what went wrong; the rest is source positions.
    private static String firstReason(EngineException e) {
        String message = String.valueOf(e.getMessage());
        return message.lines()
                .filter(line -> line.startsWith("RuntimeError:") || line.startsWith("Error:"))
                .findFirst()
                .or(() -> message.lines().filter(line -> !line.isBlank()).reduce((_, last) -> last))
                .orElse("no reason given");
    }

    private static PtSymbolBlock load(PtNDManager manager) {
        try (var archive = new ByteArrayInputStream(archive(source()))) {
            return JniUtils.loadModule(manager, archive, false, false);
        } catch (IOException | EngineException e) {
            throw LitheException.internal(
                    "the TorchScript kernels do not compile: " + e.getMessage(), e);
        }
    }

    /// The type of `shape.py`, then one class whose methods are the functions of all files, each
    /// line indented by two.
    private static String source() throws IOException {
        var text = new StringBuilder();
        append(text, "shape", "");
        text.append(
                "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n");
        for (String file : FILES) {
            append(text, file, "  ");
        }
        return text.toString();
    }

    private static void append(StringBuilder text, String file, String indent) throws IOException {
        try (InputStream resource =
                Kernels.class.getResourceAsStream("/torchscript/" + file + ".py")) {
            if (resource == null) {
                throw new IOException("resource torchscript/" + file + ".py is missing");
            }
            new String(resource.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .forEach(line -> text.append(line.isBlank() ? "" : indent + line).append('\n'));
        }
    }

    static byte[] archive(String source) throws IOException {
        var bytes = new ByteArrayOutputStream();
        try (var zip = new ZipOutputStream(bytes)) {
            zip.setMethod(ZipOutputStream.STORED);
            store(zip, "m/data.pkl", OBJECT);
            store(zip, "m/code/__torch__.py", source.getBytes(StandardCharsets.UTF_8));
            store(zip, "m/constants.pkl", NO_CONSTANTS);
            store(zip, "m/version", "10\n".getBytes(StandardCharsets.US_ASCII));
        }
        return bytes.toByteArray();
    }

    private static void store(ZipOutputStream zip, String name, byte[] content) throws IOException {
        var crc = new CRC32();
        crc.update(content);
        var entry = new ZipEntry(name);
        entry.setSize(content.length);
        entry.setCompressedSize(content.length);
        entry.setCrc(crc.getValue());
        zip.putNextEntry(entry);
        zip.write(content);
        zip.closeEntry();
    }

    private static byte[] pickledObject() {
        var pickle = new ByteArrayOutputStream();
        byte[] training = "training".getBytes(StandardCharsets.US_ASCII);
        pickle.writeBytes(new byte[] {(byte) 0x80, 2});
        pickle.writeBytes("c__torch__\nM\n)".getBytes(StandardCharsets.US_ASCII));
        pickle.writeBytes(new byte[] {(byte) 0x81, '}', 'X', (byte) training.length, 0, 0, 0});
        pickle.writeBytes(training);
        pickle.writeBytes(new byte[] {(byte) 0x89, 's', 'b', '.'});
        return pickle.toByteArray();
    }
}
