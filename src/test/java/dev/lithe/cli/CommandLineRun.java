package dev.lithe.cli;

import java.io.PrintWriter;
import java.io.StringWriter;

/// One command run in this process, with what it printed.
///
/// @param code the exit code
record CommandLineRun(int code, String out, String err) {
    static CommandLineRun of(Object... arguments) {
        var out = new StringWriter();
        var err = new StringWriter();
        String[] texts = new String[arguments.length];
        for (int i = 0; i < texts.length; i++) {
            texts[i] = arguments[i].toString();
        }
        int code =
                Main.commandLine()
                        .setOut(new PrintWriter(out, true))
                        .setErr(new PrintWriter(err, true))
                        .execute(texts);
        return new CommandLineRun(code, out.toString(), err.toString());
    }
}
