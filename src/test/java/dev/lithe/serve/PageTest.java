package dev.lithe.serve;

import static io.restassured.RestAssured.given;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.hamcrest.Matchers.containsString;
import static org.hamcrest.Matchers.equalTo;
import static org.hamcrest.Matchers.not;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.report.ReportFolder;
import dev.lithe.report.ReportHtml;
import dev.lithe.report.SampleReport;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.common.http.TestHTTPResource;
import io.quarkus.test.junit.QuarkusTest;
import io.restassured.http.ContentType;
import io.restassured.response.ValidatableResponse;
import jakarta.inject.Inject;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// The page at `/` in a headless Chromium, where one is installed, and the HTTP interface that it
/// has for itself.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PageTest {
    private static final double READABLE = 4.5; // WCAG 2.2, 1.4.3
    private static final String TITLE = "demo, compressed and measured";

    @Inject Serving serving;
    @Inject GrpcServer grpc;
    @Inject Access access;
    @TestHTTPResource URI http;
    private Path folder;
    private TestServer server;
    private Optional<Chromium> browser = Optional.empty();
    private Path tokens;

    @BeforeAll
    void start() throws IOException {
        folder = Files.createTempDirectory("lithe-page");
        Path small = folder.resolve("small");
        try (var checkpoint = Checkpoint.open(TestServer.DEMO)) {
            var recipe = RecipeParser.inline(List.of("rtn:bits=3,group_size=32"));
            new Compressor(Plan.of(recipe, checkpoint), checkpoint, (_, _, _) -> {})
                    .run(small, false);
        }
        ReportFolder.write(SampleReport.complete(), small);
        server = TestServer.compressed(serving, grpc.getPort(), small);
        tokens = Files.writeString(folder.resolve("tokens"), "secret\nadmin better\n");
        Optional<Path> installed = Chromium.installed();
        if (installed.isPresent()) {
            Path profile = Files.createDirectory(folder.resolve("profile"));
            browser = Optional.of(Chromium.start(installed.get(), profile));
        }
    }

    @AfterAll
    void stop() {
        browser.ifPresent(Chromium::close);
        server.close();
        Eventually.holds("Chromium writes no more", () -> delete(folder));
    }

    private static boolean delete(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
            return true;
        } catch (IOException | UncheckedIOException _) {
            return false;
        }
    }

    @AfterEach
    void open() {
        access.configure(Optional.empty(), 0);
        server.router().reweigh(Map.of("original", 1.0, "compressed", 1.0));
    }

    private Chromium opened() {
        assumeTrue(browser.isPresent(), "no chromium on the PATH");
        Chromium page = browser.orElseThrow();
        page.call("Page.bringToFront", Map.of()); // a page behind another draws nothing
        page.resize(1200, 900);
        page.prefer("light");
        page.open(http);
        return page;
    }

    /// Asks for answers of `tokens` tokens, and waits for their end.
    ///
    /// @return how often the first answer grew while it was not whole
    private static int compare(Chromium page, int tokens) {
        page.awaits("document.querySelectorAll('article').length === 2");
        return page.evaluate(
                        """
                        new Promise(end => {
                          let grew = 0, length = 0;
                          const stop = document.getElementById("stop");
                          const text = document.querySelector(".text");
                          new MutationObserver(() => {
                            if (!stop.hidden && text.textContent.length > length) {
                              length = text.textContent.length;
                              grew++;
                            }
                          }).observe(text, { childList: true });
                          new MutationObserver(() => { if (stop.hidden) requestAnimationFrame(() => setTimeout(() => end(grew))); })
                            .observe(stop, { attributes: true });
                          document.getElementById("tokens").value = %d;
                          document.getElementById("ask").requestSubmit();
                        })
                        """
                                .formatted(tokens))
                .asInt();
    }

    private static String text(Chromium page, String selector) {
        return page.evaluate("document.querySelector('" + selector + "').textContent").asText();
    }

    @Test
    void answersStreamSideBySide() {
        Chromium page = opened();
        assertThat(compare(page, 48)).as("how often it grew").isGreaterThan(1);
        for (String variant : List.of("original", "compressed")) {
            String article = "[data-variant=" + variant + "] ";
            assertThat(text(page, article + "h2")).isEqualTo(variant);
            assertThat(text(page, article + ".ttft")).matches("\\d+ ms");
            assertThat(text(page, article + ".rate")).matches("\\d+");
            String expected =
                    given().contentType(ContentType.JSON)
                            .body(
                                    Map.of(
                                            "model",
                                            variant,
                                            "prompt",
                                            "Once upon a time",
                                            "max_tokens",
                                            48,
                                            "temperature",
                                            0))
                            .post("/v1/completions")
                            .then()
                            .statusCode(200)
                            .extract()
                            .path("choices[0].text");
            assertThat(text(page, article + ".text")).isEqualTo(expected);
        }
        assertThat(text(page, "#status")).matches("compressed says the same for \\d+ tokens; .*");
        keep(page, "page.png");
        assertThat(page.complaints()).isEmpty();
        assertThat(page.requests())
                .isNotEmpty()
                .allMatch(address -> address.startsWith(http.toString()));
    }

    /// Keeps a picture for the README, where `-Dlithe.pictures=FOLDER` asks for it.
    private static void keep(Chromium page, String name) {
        String pictures = System.getProperty("lithe.pictures");
        if (pictures != null) {
            page.resize(1000, 760);
            try {
                Files.write(Path.of(pictures, name), page.picture());
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void whatDiffersIsMarked() {
        Chromium page = opened();
        compare(page, 48);
        assertThat(page.evaluate("document.querySelectorAll('article mark').length").asInt())
                .isPositive();
        JsonNode same =
                page.evaluate(
                        """
                        [...document.querySelectorAll(".text")].map(text =>
                          [...text.querySelectorAll("span")].map(span => span.textContent).join(""))
                        """);
        assertThat(same.get(0)).as("what is not marked").isEqualTo(same.get(1));
        page.evaluate("document.getElementById('prompt').value = 'Once upon a'");
        compare(page, 1);
        assertThat(text(page, "#status")).isEqualTo("compressed says the same");
        assertThat(page.evaluate("document.querySelectorAll('article mark').length").asInt())
                .isZero();
    }

    @Test
    void itFitsAPhoneAndTheDark() {
        Chromium page = opened();
        compare(page, 16);
        page.resize(375, 700);
        assertThat(page.evaluate("document.documentElement.scrollWidth").asInt())
                .isLessThanOrEqualTo(375);
        assertThat(contrast(page)).isGreaterThanOrEqualTo(READABLE);
        String light = background(page);
        page.prefer("dark");
        assertThat(background(page)).isNotEqualTo(light);
        assertThat(contrast(page)).isGreaterThanOrEqualTo(READABLE);
        JsonNode unnamed =
                page.evaluate(
                        """
                        [...document.querySelectorAll("input, textarea, button")]
                          .filter(each => !each.labels?.length && !each.ariaLabel && !each.textContent.trim())
                          .map(each => each.outerHTML)
                        """);
        assertThat(unnamed).as("fields without a name").isEmpty();
        assertThat(page.complaints()).isEmpty();
    }

    private static String background(Chromium page) {
        return page.evaluate("getComputedStyle(document.body).backgroundColor").asText();
    }

    /// The least contrast of a text with what is behind it, as WCAG defines it.
    private static double contrast(Chromium page) {
        return page.evaluate(
                        """
                        (() => {
                          const numbers = color => color.match(/[\\d.]+/g).map(Number);
                          const light = color => color.slice(0, 3)
                            .map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
                            .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
                          const behind = element => {
                            const [r, g, b, a = 1] = numbers(getComputedStyle(element).backgroundColor);
                            const under = a < 1 ? behind(element.parentElement) : [0, 0, 0];
                            return [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
                          };
                          return Math.min(...[...document.querySelectorAll("body *")]
                            .filter(each => [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
                            .filter(each => each.offsetParent)
                            .map(each => [light(numbers(getComputedStyle(each).color)), light(behind(each))])
                            .map(([a, b]) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05)));
                        })()
                        """)
                .asDouble();
    }

    /// Types weights and a token, and changes the split.
    private static void reweigh(Chromium page, int original, int other, String token) {
        page.evaluate(
                """
                (() => {
                  const [a, b] = document.querySelectorAll("#shares input");
                  [a.value, b.value] = [%d, %d];
                  document.getElementById("token").value = "%s";
                  document.getElementById("split-status").textContent = "";
                  document.getElementById("split").requestSubmit();
                })()
                """
                        .formatted(original, other, token));
        page.awaits("document.getElementById('split-status').textContent !== ''");
    }

    @Test
    void weightsAreShownAndChangedByWhoMay() {
        Chromium page = opened();
        page.awaits("document.querySelectorAll('#shares tr').length === 2");
        assertThat(text(page, "#shares .part")).isEqualTo("50 %");
        reweigh(page, 3, 1, "");
        assertThat(text(page, "#shares .part")).isEqualTo("75 %");
        assertThat(server.router().share("original")).isCloseTo(0.75, within(1e-9));
        access.configure(Optional.of(tokens), 0);
        reweigh(page, 1, 1, "");
        assertThat(text(page, "#split-status")).contains("no valid token");
        reweigh(page, 1, 1, "secret");
        assertThat(text(page, "#split-status")).contains("may not change weights");
        assertThat(server.router().share("original")).isCloseTo(0.75, within(1e-9));
        reweigh(page, 1, 4, "better");
        assertThat(text(page, "#shares .part")).isEqualTo("20 %");
        assertThat(server.router().share("original")).isCloseTo(0.2, within(1e-9));
    }

    @Test
    void theReportOpensInATabOfItsOwn() {
        Chromium page = opened();
        page.awaits("!document.getElementById('report').hidden");
        page.click("#report");
        Chromium tab = page.tab(http + "v1/report");
        assertReadable(tab);
        tab.call("Page.close", Map.of());
        access.configure(Optional.of(tokens), 0);
        page.evaluate("document.getElementById('token').value = 'wrong'");
        page.click("#report");
        page.awaits("document.getElementById('status').textContent !== ''");
        assertThat(text(page, "#status")).contains("no valid token");
        page.evaluate("document.getElementById('token').value = 'secret'");
        page.click("#report");
        tab = page.tab("blob:" + http);
        assertReadable(tab);
        tab.call("Page.close", Map.of());
        assertThat(page.evaluate("document.title").asText()).startsWith("Lithe");
    }

    /// Asserts what a report must be on any screen, for any reader.
    private static void assertReadable(Chromium report) {
        // a new tab is complete before it goes anywhere
        report.awaits("document.title !== '' && document.readyState === 'complete'");
        assertThat(report.evaluate("document.title").asText()).isEqualTo(TITLE);
        report.resize(375, 700);
        assertThat(report.evaluate("document.documentElement.scrollWidth").asInt())
                .isLessThanOrEqualTo(375);
        report.evaluate("document.querySelector('.map td').className = 's8'"); // the darkest
        for (String scheme : List.of("light", "dark")) {
            report.prefer(scheme);
            assertThat(contrast(report)).as(scheme).isGreaterThanOrEqualTo(READABLE);
        }
        report.resize(1000, 700);
        assertThat(
                        report.evaluate(
                                        """
                                        [...document.querySelectorAll(".aside")].every(list => {
                                          const [a, b] = list.children;
                                          return a.offsetTop === b.offsetTop && a.offsetLeft < b.offsetLeft;
                                        })
                                        """)
                                .asBoolean())
                .as("continuations side by side")
                .isTrue();
        assertThat(
                        report.evaluate("document.querySelectorAll('svg:not([aria-label])').length")
                                .asInt())
                .as("plots without words")
                .isZero();
        assertThat(report.complaints()).isEmpty();
    }

    @Test
    void nothingElseMayRunInThePage() throws GeneralSecurityException {
        String html = ReportHtml.of(SampleReport.complete());
        String style = html.replaceAll("(?s).*<style>|</style>.*", "");
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(style.getBytes(UTF_8));
        String hash = "'sha256-" + Base64.getEncoder().encodeToString(digest) + "'";
        given().get("/")
                .then()
                .statusCode(200)
                .contentType(containsString("text/html"))
                .header("content-security-policy", containsString("default-src 'none'"))
                .header("content-security-policy", containsString("style-src 'self' " + hash + ";"))
                .header("content-security-policy", not(containsString("unsafe")))
                .header("x-content-type-options", "nosniff")
                .header("referrer-policy", "no-referrer");
        given().get("/v1/report")
                .then()
                .statusCode(200)
                .contentType("text/html;charset=utf-8")
                .header("content-security-policy", containsString("sandbox"))
                .header("content-security-policy", containsString("style-src " + hash + ";"))
                .header("content-security-policy", not(containsString("unsafe")));
    }

    private static ValidatableResponse put(String token, String body) {
        return given().header("authorization", "Bearer " + token)
                .contentType(ContentType.JSON)
                .body(body)
                .put("/v1/split")
                .then();
    }

    @Test
    void theSplitIsReadAndChangedOverHttp() {
        given().get("/v1/split")
                .then()
                .statusCode(200)
                .body("shares.variant", equalTo(List.of("original", "compressed")))
                .body("sample_ratio.mismatch", equalTo(false))
                .body("report", equalTo(true));
        put("", "{\"weights\": {\"compressed\": 1}}")
                .statusCode(200)
                .body("shares[1].share", equalTo(1.0f));
        for (String wrong :
                List.of(
                        "{",
                        "{}",
                        "[]",
                        "{\"weights\": {\"compressed\": \"1\"}}",
                        "{\"weights\": {\"x\": 1}}")) {
            put("", wrong).statusCode(400).body("error.type", equalTo("invalid_request_error"));
        }
        put("", "x".repeat(5 << 20)).statusCode(400);
        assertThat(server.router().share("compressed")).isEqualTo(1);
        access.configure(Optional.of(tokens), 0);
        given().get("/v1/split").then().statusCode(401);
        given().get("/v1/report").then().statusCode(401);
        given().get("/").then().statusCode(200);
        String even = "{\"weights\": {\"compressed\": 1, \"original\": 1}}";
        put("wrong", even).statusCode(401);
        put("secret", even).statusCode(403);
        put("better", even).statusCode(200).body("shares[0].drawn", equalTo(0));
        access.configure(Optional.of(tokens), 0.01);
        given().header("authorization", "Bearer secret").get("/v1/split").then().statusCode(200);
        given().header("authorization", "Bearer secret").get("/v1/report").then().statusCode(429);
    }
}
