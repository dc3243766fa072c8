using System.Globalization;
using System.Text;

namespace Cnvm.CommandLine;

// Lists [a,b], ranges 0-3, tuples 0@[1,2].
internal sealed partial class OptionString
{
    /// <summary>No list of CPUs or descriptors is longer; a range such as 0-4294967295 would fill all memory.</summary>
    private const int MaxListLength = 8192;

    /// <summary><c>[a,b]</c> or <c>a</c>.</summary>
    public List<string>? Words(string key) => QuotedText(key) is { } text ? SplitList(key, text) : null;

    /// <summary><c>[0,2-5]</c> or <c>0</c>.</summary>
    public List<uint>? Integers(string key) => QuotedText(key) is { } text ? ParseIntegers(key, text) : null;

    /// <summary><c>[0@[1,2],1@[3]]</c>.</summary>
    public List<NumberedList>? Tuples(string key)
    {
        if (QuotedText(key) is not { } text)
        {
            return null;
        }

        var tuples = new List<NumberedList>();
        foreach (string part in SplitList(key, text))
        {
            int at = part.IndexOf('@', StringComparison.Ordinal);
            if (at < 0)
            {
                throw Wrong(key, $"'{part}' is not of the form NUMBER@[NUMBERS]");
            }

            tuples.Add(new NumberedList(ParseInteger(key, part[..at]), ParseIntegers(key, part[(at + 1)..])));
        }

        return tuples;
    }

    /// <summary><c>[name@[1,2],other@[3]]</c>.</summary>
    public List<NamedList>? NamedTuples(string key)
    {
        if (QuotedText(key) is not { } text)
        {
            return null;
        }

        var tuples = new List<NamedList>();
        foreach (string part in SplitList(key, text))
        {
            int at = part.IndexOf('@', StringComparison.Ordinal);
            tuples.Add(at > 0 ? new NamedList(part[..at], ParseIntegers(key, part[(at + 1)..])) : throw Wrong(key, $"'{part}' is not of the form NAME@[NUMBERS]"));
        }

        return tuples;
    }

    /// <summary><c>[1:2:3,4:5:6]</c>.</summary>
    public List<uint[]>? Triples(string key)
    {
        if (Words(key) is not { } parts)
        {
            return null;
        }

        var triples = new List<uint[]>();
        foreach (string part in parts)
        {
            string[] numbers = part.Split(':');
            triples.Add(numbers.Length == 3
                ? [ParseInteger(key, numbers[0]), ParseInteger(key, numbers[1]), ParseInteger(key, numbers[2])]
                : throw Wrong(key, $"'{part}' is not of the form NUMBER:NUMBER:NUMBER"));
        }

        return triples;
    }

    /// <summary>Splits at commas that stand outside brackets and double quotes; empty text has no parts.</summary>
    private List<string> SplitOutsideBrackets(string text)
    {
        var parts = new List<string>();
        var part = new StringBuilder();
        int depth = 0;
        bool quoted = false;
        foreach (char c in text)
        {
            quoted ^= c == '"';
            depth += quoted ? 0 : c switch { '[' => 1, ']' => -1, _ => 0 };
            if (depth < 0)
            {
                break;
            }

            if (c == ',' && depth == 0 && !quoted)
            {
                parts.Add(part.ToString());
                part.Clear();
            }
            else
            {
                part.Append(c);
            }
        }

        if (depth != 0 || quoted)
        {
            throw new CommandLineException($"{_flag}: brackets or quotes do not match in '{text}'");
        }

        if (text.Length > 0)
        {
            parts.Add(part.ToString());
        }

        return parts;
    }

    private List<string> SplitList(string key, string text)
    {
        bool opens = text.StartsWith('[');
        if (opens != text.EndsWith(']'))
        {
            throw Wrong(key, $"'{text}' is no list such as [1,2]");
        }

        return SplitOutsideBrackets(opens ? text[1..^1] : text).ConvertAll(Unquote);
    }

    private List<uint> ParseIntegers(string key, string text)
    {
        var numbers = new List<uint>();
        foreach (string part in SplitList(key, text))
        {
            int dash = part.IndexOf('-', StringComparison.Ordinal);
            uint first = ParseInteger(key, dash < 0 ? part : part[..dash]);
            uint last = dash < 0 ? first : ParseInteger(key, part[(dash + 1)..]);
            if (last < first || last - first >= MaxListLength - numbers.Count)
            {
                throw Wrong(key, $"'{part}' is no ascending range of at most {MaxListLength} numbers");
            }

            for (uint n = first; n <= last; n++)
            {
                numbers.Add(n);
            }
        }

        return numbers;
    }

    private uint ParseInteger(string key, string text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number <= int.MaxValue
            ? number
            : throw Wrong(key, $"'{text}' is no whole number");

    private static string Unquote(string text) => text.Replace("\"", "", StringComparison.Ordinal);
}
