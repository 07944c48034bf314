package dev.lithe.report;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UnitsTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "999, 999 B",
        "1000, 1.00 kB",
        "999499, 999 kB",
        "999700, 1.00 MB",
        "14430688, 14.4 MB",
        "99960000, 100 MB",
        "1099511627776, 1.10 TB"
    })
    void bytes(long bytes, String expected) {
        assertThat(Units.bytes(bytes)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"950, 950", "260032, 260 k", "7212288, 7.21 M", "1235814400, 1.24 G"})
    void count(long count, String expected) {
        assertThat(Units.count(count)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"0.0421, 0.04 ms", "4.13, 4.1 ms", "250.4, 250 ms", "12345, 12.3 s"})
    void millis(double millis, String expected) {
        assertThat(Units.millis(millis)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"5.4249, 5.42", "1234.5, 1235", "1.2e9, 1.2e+09", "Infinity, Infinity"})
    void perplexity(double value, String expected) {
        assertThat(Units.perplexity(value)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "0.006149, 0.0061", "1.249, 1.2", "0.0000021, 2.1e-06", "12.3, 12"})
    void divergence(double value, String expected) {
        assertThat(Units.divergence(value)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"1, 100 %", "0.99999, 99.99 %", "0.9917, 99.17 %", "0.959, 95.9 %", "0, 0.0 %"})
    void percent(double share, String expected) {
        assertThat(Units.percent(share)).isEqualTo(expected);
    }

    @Test
    void ratioLosesDigitsAsItGrows() {
        assertThat(Units.ratio(1.01292, 3)).isEqualTo("1.013");
        assertThat(Units.ratio(12.345, 3)).isEqualTo("12.3");
        assertThat(Units.ratio(12345.6, 3)).isEqualTo("12346");
        assertThat(Units.ratio(2e7, 3)).isEqualTo("2.0e+07");
        assertThat(Units.grouped(76_800)).isEqualTo("76 800");
    }
}
