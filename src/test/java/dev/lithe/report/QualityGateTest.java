package dev.lithe.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class QualityGateTest {
    @Test
    void theLimitItselfPasses() {
        assertThatCode(() -> new QualityGate(1.0129).check(SampleReport.complete()))
                .doesNotThrowAnyException();
        assertThatThrownBy(() -> new QualityGate(1.0128).check(SampleReport.complete()))
                .isInstanceOfSatisfying(
                        LitheException.class,
                        e -> assertThat(e.fault()).isEqualTo(Fault.QUALITY_GATE))
                .hasMessageContaining("compressed")
                .hasMessageContaining("1.0129")
                .hasMessageContaining("1.0128");
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
    void aLimitThatMeansNothingIsRefused(double limit) {
        assertThatThrownBy(() -> new QualityGate(limit))
                .isInstanceOfSatisfying(
                        LitheException.class,
                        e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT));
    }
}
