package dev.lithe.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceTest {
    @Test
    void autoIsTheProcessorWhereCudaIsRefused() {
        boolean cuda = true;
        try {
            Device.choose("cuda");
        } catch (LitheException _) {
            cuda = false;
        }
        assertThat(Device.choose("auto").name()).isEqualTo(cuda ? "cuda:0" : "cpu");
        assertThat(Device.choose("cpu").isCpu()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cuda", "cuda:0", "cuda:7"})
    void aDeviceThatIsNotSeenIsBadInput(String wish) {
        assumeTrue(Device.choose("auto").isCpu(), "this machine has a CUDA device");
        assertThatThrownBy(() -> Device.choose(wish))
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                .hasMessageContainingAll(
                        "'" + wish + "'",
                        "no CUDA device",
                        Torch.version(),
                        "PYTORCH_LIBRARY_PATH",
                        "PYTORCH_FLAVOR",
                        "--device cpu");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1000", "cuda:0 ", "meta"})
    void othersAreUnknown(String wish) {
        assertThatThrownBy(() -> Device.choose(wish))
                .hasMessageContaining("auto, cpu, cuda or cuda:N");
    }
}
