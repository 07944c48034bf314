package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class StopMatcherTest {
    @Test
    void holdsBackWhatMayBecomeAStop() {
        var matcher = new StopMatcher(List.of("END"));
        assertThat(matcher.add("text E")).isEqualTo("text ");
        assertThat(matcher.add("N")).isEmpty();
        assertThat(matcher.add("ough")).isEqualTo("ENough");
        assertThat(matcher.add("EEN")).isEqualTo("E");
        assertThat(matcher.add("D more")).isEmpty();
        assertThat(matcher.matched()).contains("END");
    }

    @Test
    void takesTheStopThatIsCompleteFirst() {
        var matcher = new StopMatcher(List.of("xyz", "b"));
        assertThat(matcher.add("a b xyz")).isEqualTo("a ");
        assertThat(matcher.matched()).contains("b");
        var nested = new StopMatcher(List.of("b", "abc"));
        assertThat(nested.add("_abc")).isEqualTo("_a");
        var sameEnd = new StopMatcher(List.of("b", "ab"));
        assertThat(sameEnd.add("_ab")).isEqualTo("_");
    }

    @Test
    void cutsWhereverTheTextIsSplit() {
        long seed = 3;
        var random = new Random(seed);
        for (int round = 0; round < 2000; round++) {
            String text = random(random, 30);
            List<String> stops = Stream.of(random(random, 3), random(random, 2)).toList();
            int expected = cut(text, stops);
            var matcher = new StopMatcher(stops);
            var out = new StringBuilder();
            for (int at = 0; at < text.length() && matcher.matched().isEmpty(); ) {
                int end = Math.min(text.length(), at + 1 + random.nextInt(3));
                out.append(matcher.add(text.substring(at, end)));
                at = end;
            }
            if (matcher.matched().isEmpty()) {
                out.append(matcher.finish());
            }
            assertThat(out.toString())
                    .as("seed %d, text %s, stops %s", seed, text, stops)
                    .isEqualTo(text.substring(0, expected));
        }
    }

    /// One character at a time, in the plainest way.
    private static int cut(String text, List<String> stops) {
        for (int end = 1; end <= text.length(); end++) {
            String seen = text.substring(0, end);
            int longest =
                    stops.stream().filter(seen::endsWith).mapToInt(String::length).max().orElse(0);
            if (longest > 0) {
                return end - longest;
            }
        }
        return text.length();
    }

    private static String random(Random random, int length) {
        return random.ints(1 + random.nextInt(length), 'a', 'd')
                .mapToObj(Character::toString)
                .collect(Collectors.joining());
    }
}
