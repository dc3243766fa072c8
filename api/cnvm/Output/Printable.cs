using System.Text;

namespace Cnvm.Cli.Output;

/// <summary>Text out of files that anybody may have written: it must not steer a terminal.</summary>
internal static class Printable
{
    /// <summary>Control characters as <c>\u001b</c>; lines stay lines.</summary>
    public static string Lines(string text) => Escape(text, keepLines: true);

    /// <summary>Control characters and line ends as <c>\u000a</c>.</summary>
    public static string Line(string text) => Escape(text, keepLines: false);

    private static string Escape(string text, bool keepLines)
    {
        StringBuilder? escaped = null;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (char.IsControl(c) && !(keepLines && c == '\n'))
            {
                escaped ??= new StringBuilder(text, 0, i, text.Length + 16);
                escaped.Append("\\u").Append(((int)c).ToString("x4", System.Globalization.CultureInfo.InvariantCulture));
            }
            else
            {
                escaped?.Append(c);
            }
        }

        return escaped?.ToString() ?? text;
    }
}
