package dev.lithe.fault;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class LitheExceptionTest {
    @Test
    void aMessageIsOneLineWhateverItsValuesHold() {
        String message =
                LitheException.badInput("name '%s' is\n bad", "a\r\nb\u2028c\td").getMessage();
        assertThat(message).isEqualTo("name 'a b c d' is  bad");
    }

    @Test
    void aLongValueLosesItsMiddleAndTheNextStepStays() {
        var e = LitheException.badInput("'%s' is too long; shorten it", "x".repeat(100_000));
        assertThat(e.getMessage()).hasSizeLessThan(800).startsWith("'xxx").endsWith("; shorten it");
    }

    @Test
    void percentSignsInValuesAreText() {
        assertThat(LitheException.badInput("%s", "100%d").getMessage()).isEqualTo("100%d");
        assertThat(LitheException.internal("50%s", new IOException("a")).getMessage())
                .isEqualTo("50%s");
    }

    @Test
    void aCauseIsKeptAndChangesNeitherFaultNorMessage() {
        var cause = new IOException("disk");
        var e = LitheException.of(Fault.EXHAUSTED, "queue of %d is full", 3).causedBy(cause);
        assertThat(e).hasMessage("queue of 3 is full").hasCause(cause);
        assertThat(e.fault()).isEqualTo(Fault.EXHAUSTED);
    }
}
