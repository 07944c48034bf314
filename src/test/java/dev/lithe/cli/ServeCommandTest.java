package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.serve.Server;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/// What `serve` refuses before it starts anything.
class ServeCommandTest {
    private static String refusal(String line) {
        var err = new StringWriter();
        CommandLine command = Main.commandLine().setErr(new PrintWriter(err));
        assertThat(command.execute(line.split(" "))).isEqualTo(2);
        command.getErr().flush();
        assertThat(err.toString().lines()).hasSize(1);
        return err.toString();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "serve",
                "serve no-such-folder",
                "serve src/main/resources/demo --compressed no-such-folder",
                "serve src/main/resources/demo --variant original=src/main/resources/demo",
                "serve src/main/resources/demo --variant a/b=src/main/resources/demo",
                "serve src/main/resources/demo --weight original=0",
                "serve src/main/resources/demo --weight other=1",
                "serve src/main/resources/demo --port 70000",
                "serve src/main/resources/demo --log-format xml",
                "serve src/main/resources/demo --traces localhost",
                "serve src/main/resources/demo --draft-variant original",
                "serve src/main/resources/demo --draft-max 0",
                "serve src/main/resources/demo --draft-max 17",
                "serve src/main/resources/demo --port 9000 --http-port 9000",
                "serve src/main/resources/demo --host no.such.host.invalid"
            })
    void badOptions(String line) {
        refusal(line);
    }

    @Test
    void aFolderKeepsTheSlashThatSetsItApartFromAName() {
        assertThat(refusal("serve demo/ --host no.such.host.invalid")).contains("'demo/'");
    }

    @Test
    void addressesAreWrittenAsClientsTakeThem() {
        assertThat(new Server.Address("127.0.0.1", 9000, 8080).grpc()).isEqualTo("127.0.0.1:9000");
        assertThat(new Server.Address("::1", 9000, 8080).grpc()).isEqualTo("[::1]:9000");
        assertThat(new Server.Address("::1", 9000, 8080).http()).isEqualTo("[::1]:8080");
    }

    @Test
    void aTakenPortIsNamedBeforeModelsLoad() throws IOException {
        try (var taken = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            int port = taken.getLocalPort();
            assertThat(refusal("serve src/main/resources/demo --http-port 0 --port " + port))
                    .contains(Integer.toString(port), "--port");
            assertThat(refusal("serve src/main/resources/demo --port 0 --http-port " + port))
                    .contains(Integer.toString(port), "--http-port");
        }
    }
}
