using System.Text;

namespace Cnvm.Cli.Help;

/// <summary>Writes man(7) pages.</summary>
internal sealed class Roff
{
    private readonly StringBuilder _text = new();

    public Roff(string program, string version, string summary)
    {
        _text.Append(".\\\" Generated from the program's own help.\n");
        _text.Append($".TH {program.ToUpperInvariant()} 1 \"\" \"cnvm {version}\" \"cnvm\"\n");
        Section("NAME");
        Line($"{Escape(program)} \\- {Escape(summary)}");
    }

    public void Section(string title) => _text.Append(".SH ").Append(Escape(title.ToUpperInvariant())).Append('\n');

    public void Subsection(string title) => _text.Append(".SS \"").Append(Escape(title)).Append("\"\n");

    /// <summary>A term in bold, with what is said of it.</summary>
    public void Entry(string term, string text)
    {
        _text.Append(".TP\n.B ").Append(Escape(term)).Append('\n');
        Line(Escape(text));
    }

    public void Paragraph(string text)
    {
        _text.Append(".PP\n");
        Line(Escape(text));
    }

    /// <summary>Lines that stay as they are.</summary>
    public void Verbatim(string text)
    {
        _text.Append(".PP\n.nf\n");
        foreach (string line in text.TrimEnd('\n').Split('\n'))
        {
            Line(Escape(line));
        }

        _text.Append(".fi\n");
    }

    public override string ToString() => _text.ToString();

    /// <summary>A dash stays a dash that can be copied, a backslash a backslash.</summary>
    private static string Escape(string text) =>
        text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal)
            .Replace("'", "\\(aq", StringComparison.Ordinal).Replace("^", "\\(ha", StringComparison.Ordinal)
            .Replace("`", "\\(ga", StringComparison.Ordinal).Replace("~", "\\(ti", StringComparison.Ordinal)
            .Replace("\"", "\\(dq", StringComparison.Ordinal);

    // A line that begins with a dot would be a request.
    private void Line(string escaped) => _text.Append(escaped.StartsWith('.') ? "\\&" : "").Append(escaped).Append('\n');
}
