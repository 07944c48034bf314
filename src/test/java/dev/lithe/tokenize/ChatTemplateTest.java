package dev.lithe.tokenize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.ChatTemplate.Message;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Templates render as Python's Jinja renders them; the expected texts come from it.
class ChatTemplateTest {
    private static final List<Message> MESSAGES =
            List.of(
                    new Message("user", "  Hello there \n"),
                    new Message("assistant", "Hi! What's \"up\"?"),
                    new Message("user", "Tell a story"));

    private static String render(String template) {
        return ChatTemplate.of(template, Map.of("bos_token", "<s>", "eos_token", "</s>"))
                .render(MESSAGES);
    }

    @Test
    void aTemplateOfChatMarks() {
        assertThat(
                        render(
                                """
                                {{ bos_token }}
                                {%- for message in messages %}
                                    {%- if loop.first and messages[0]['role'] != 'system' %}
                                        {{- '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}
                                    {%- endif %}
                                    {{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
                                {%- endfor %}
                                {%- if add_generation_prompt %}
                                    {{- '<|im_start|>assistant\\n' }}
                                {%- endif %}
                                """))
                .isEqualTo(
                        """
                        <s><|im_start|>system
                        Be kind.<|im_end|>
                        <|im_start|>user
                        Hello there<|im_end|>
                        <|im_start|>assistant
                        Hi! What's "up"?<|im_end|>
                        <|im_start|>user
                        Tell a story<|im_end|>
                        <|im_start|>assistant
                        """);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '§',
            quoteCharacter = '`',
            value = {
                "{{ 'xxaxx'.strip('x') }}{{ 'a</t>b'.split('</t>')[-1] }}§ab",
                "{% for m in messages[::-1] %}{{ loop.index0 }}{{ m.role[0] }}{% endfor %}§0u1a2u",
                "{% for m in messages if m.role == 'user' %}{{ loop.index }}{% endfor %}§12",
                "{% for m in [] %}x{% else %}none{% endfor %}§none",
                "{% set n = namespace(k=0) %}{% for m in messages %}{% set n.k = n.k + 1 %}{% endfor %}{{ n.k }}§3",
                "{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}§1",
                "{% for m in messages %}{% if loop.index == 2 %}{% break %}{% endif %}{{ m.role }}{% endfor %}§user",
                "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{{ m.role }}{% endfor %}§assistant",
                "{{ {'a': [1, 2.5, none, true], 'b': {}} | tojson }}§{\"a\": [1, 2.5, null, true], \"b\": {}}",
                "{{ [1, 'a', None, True, {'k': 'v'}] }}§[1, 'a', None, True, {'k': 'v'}]",
                "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}§2",
                "{{ messages|map(attribute='role')|join(',') }}§user,assistant,user",
                "{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}{{ 2 ** 3 }}§-423.58",
                "{{ 'a' if nope is defined else 'b' }}{{ nope }}{{ nope | default('d') }}§bd",
                "{{ 1 < 2 < 3 }}{{ 'a' ~ 1 }}{{ not true or true }}§Truea1True",
                "{% macro tag(x, y='q') %}<{{ x }}{{ y }}>{% endmacro %}{{ tag('a') }}{{ tag('b', y='c') }}§<aq><bc>",
                "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}{{ messages[0].get('x', 'y') }}§a=1y",
                "{% set t %}in {{ 1 + 1 }}{% endset %}{{ t }}{# gone #}§in 2",
                "{% if true -%}   x   {%- endif %}§x",
                "{{ '%s-%d' % ('a', 3) }}{{ 'ab cd'.title() }}{{ 'b' in 'abc' }}§a-3Ab CdTrue",
                "{{ '{{ 1 }}' }}§{{ 1 }}"
            })
    void smallThings(String template, String expected) {
        assertThat(render(template)).isEqualTo(expected);
    }

    @Test
    void whiteSpaceAroundBlocksGoes() {
        assertThat(render("a\n  {% if true %}\n    b\n  {% endif %}\n  {{ 'x' }}  \nc\n"))
                .isEqualTo("a\n    b\n  x  \nc");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% if %}",
                "{% if true %}",
                "{{ 'a }}",
                "{{ 1 +",
                "{% nonsense %}",
                "{{ [1, 2 }}",
                "{# no end",
                "{{ ) }}",
                "{{ 'a' + 1 }}",
                "{{ nope.x }}",
                "{{ nope() }}",
                "{{ 'a'|nonsense }}",
                "{{ 1 is nonsense }}",
                "{{ 1 // 0 }}",
                "{{ [1].99999999999999999999 }}",
                "{{ range(100001) }}",
                "{{ raise_exception('no') }}",
                "{% set x = 'aaaaaaaa' %}{% for i in range(30) %}{% set x.y = 1 %}{% endfor %}",
                "{% for a in range(2000) %}{% for b in range(2000) %}{% endfor %}{% endfor %}",
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(30) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
            })
    void aTemplateThatIsWrongOrRunsAwayIsRefused(String template) {
        assertThatThrownBy(() -> render(template)).isInstanceOf(LitheException.class);
    }

    @Test
    void deepNestingIsRefused() {
        for (String template :
                List.of(
                        "{{ " + "(".repeat(5000) + " }}",
                        "{{ " + "not ".repeat(20_000) + "x }}",
                        "{{ " + "-".repeat(20_000) + "1 }}",
                        "{{ 1" + "+1".repeat(100_000) + " }}",
                        "{% if true %}".repeat(5000))) {
            assertThatThrownBy(() -> render(template)).isInstanceOf(LitheException.class);
        }
    }

    @Test
    void itComesFromEitherFile(@TempDir Path folder) throws IOException {
        assertThat(ChatTemplate.open(folder)).isEmpty();
        Path config = folder.resolve("tokenizer_config.json");
        Files.writeString(
                config,
                "{\"chat_template\": \"{{ eos_token }}!\", \"eos_token\": {\"content\": \"</s>\"}}");
        assertThat(ChatTemplate.open(folder).orElseThrow().render(MESSAGES)).isEqualTo("</s>!");
        Files.writeString(
                config,
                "{\"chat_template\": [{\"name\": \"tools\", \"template\": \"t\"},"
                        + " {\"name\": \"default\", \"template\": \"d\"}]}");
        assertThat(ChatTemplate.open(folder).orElseThrow().render(MESSAGES)).isEqualTo("d");
        Files.writeString(folder.resolve("chat_template.jinja"), "own");
        assertThat(ChatTemplate.open(folder).orElseThrow().render(MESSAGES)).isEqualTo("own");
        Files.writeString(config, "{");
        assertThatThrownBy(() -> ChatTemplate.open(folder)).isInstanceOf(LitheException.class);
    }

    @Test
    void datesAreWrittenAsInC() {
        var time = ZonedDateTime.of(2026, 3, 5, 14, 7, 9, 0, ZoneOffset.UTC);
        assertThat(ChatTemplate.now("%d %b %Y %H:%M:%S %B %A %-d %I%p 100%%", time))
                .isEqualTo("05 Mar 2026 14:07:09 March Thursday 5 02PM 100%");
    }
}
