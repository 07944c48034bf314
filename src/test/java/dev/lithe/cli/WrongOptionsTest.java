package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A wrong option is refused before the model is looked for, which may mean to fetch it.
class WrongOptionsTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "evaluate nowhere --score some | --score some",
                "evaluate nowhere --context 1 | context 1",
                "evaluate nowhere --tokens 1 | 1 tokens",
                "evaluate nowhere --latency-pairs 1 | 1 latency pairs",
                "evaluate nowhere --output-tokens 1 | 1 output tokens",
                "evaluate nowhere --max-perplexity-ratio 0 | --max-perplexity-ratio 0",
                "evaluate nowhere --text nothing.txt | --text nothing.txt does not exist",
                "compress nowhere --score some | --score some",
                "compress nowhere --recipe int5 | int5",
                "compress nowhere --stage rtn:bits=x | bits",
                "compress nowhere --calibration-text no.txt | --calibration-text no.txt does not",
                "compress nowhere --no-evaluate --each-stage | --each-stage measures",
                "run nowhere --tokens 1 | 1 tokens",
                "run nowhere --stage rtx | rtx",
                "run nowhere --port 70000 | port 70000",
                "run nowhere --max-running 0 | --max-running 0",
                "run nowhere --drain-seconds -1 | --drain-seconds -1",
                "run nowhere --draft-variant other | the draft 'other'",
                "search nowhere --score some | --score some",
                "search nowhere --max-bytes 0% | --max-bytes 0%",
                "search nowhere --max-bytes 0.4 | --max-bytes 0.4; write whole bytes",
                "search nowhere --on kubernetes --max-bytes 0.4 | --max-bytes 0.4; write whole",
                "search nowhere --space no.yaml | --space no.yaml does not exist",
                "search nowhere --calibration-text no.txt | --calibration-text no.txt does not",
                "serve nowhere --cache-memory 0 | --cache-memory 0",
                "serve nowhere --weight other=1 | other",
                "serve nowhere --shadow other | the shadow 'other'",
                "serve nowhere --rate -1 | rate",
                "serve nowhere --variant original=nowhere | two variants",
                "export nowhere --to paper -o x | --to paper",
                "export nowhere --to gguf --type q9 -o x | --type q9",
                "export nowhere --to gguf -o . | . is a folder"
            })
    void isRefusedWithoutAModel(String line, String reason) {
        var run = CommandLineRun.of((Object[]) line.split(" "));
        assertThat(run.err()).hasLineCount(1).contains(reason).doesNotContain("nowhere' is no");
        assertThat(run.code()).isEqualTo(2);
    }
}
