/// One [dev.lithe.report.Report] record, written as JSON, Markdown and a terminal table.
@NullMarked
package dev.lithe.report;

import org.jspecify.annotations.NullMarked;
