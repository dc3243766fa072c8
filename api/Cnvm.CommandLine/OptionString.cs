using System.Globalization;

namespace Cnvm.CommandLine;

/// <summary>
/// A value such as <c>path=/a,readonly=on,affinity=[0@[1,2]]</c>: keys and values, split at commas outside brackets and double quotes.
/// A word without an equals sign is a key with no value.
/// </summary>
internal sealed partial class OptionString
{
    private readonly string _flag;
    private readonly Dictionary<string, string?> _values = new(StringComparer.Ordinal);

    /// <param name="flag">Flag that the value belongs to, for messages.</param>
    /// <param name="keys">Keys that may stand in it.</param>
    /// <exception cref="CommandLineException">A key is unknown or stands twice, or brackets or quotes do not match.</exception>
    public OptionString(string flag, string text, params ReadOnlySpan<string> keys)
    {
        _flag = flag;
        foreach (string part in SplitOutsideBrackets(text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? part : part[..equals];
            if (!keys.Contains(key))
            {
                throw UnknownKey(key, keys);
            }

            if (!_values.TryAdd(key, equals < 0 ? null : part[(equals + 1)..]))
            {
                throw new CommandLineException($"{flag}: {key} is given twice");
            }
        }
    }

    public bool Has(string key) => _values.ContainsKey(key);

    /// <summary>The value of a key without its quotes; null if the key was not given.</summary>
    /// <exception cref="CommandLineException">The key stands without a value.</exception>
    public string? Text(string key) => QuotedText(key) is { } text ? Unquote(text) : null;

    /// <summary>Like <see cref="Text"/>, with the quotes that keep the commas of a list's member apart from the list's own.</summary>
    private string? QuotedText(string key)
    {
        if (!_values.TryGetValue(key, out string? value))
        {
            return null;
        }

        return string.IsNullOrEmpty(value) ? throw Wrong(key, "needs a value") : value;
    }

    /// <summary>A switch; a key without a value is on.</summary>
    public bool Toggle(string key, bool otherwise = false)
    {
        if (!_values.TryGetValue(key, out string? value))
        {
            return otherwise;
        }

        return value switch
        {
            null or "on" or "true" => true,
            "off" or "false" => false,
            _ => throw Wrong(key, $"'{value}' is neither on nor off"),
        };
    }

    /// <summary>A whole number up to <paramref name="max"/>.</summary>
    public ulong? Number(string key, ulong max)
    {
        if (Text(key) is not { } text)
        {
            return null;
        }

        bool parsed = text.StartsWith("0x", StringComparison.Ordinal)
            ? ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong number)
            : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
        return parsed && number <= max ? number : throw Wrong(key, $"'{text}' is no whole number from 0 to {max}");
    }

    public uint? UInt32(string key) => (uint?)Number(key, uint.MaxValue);

    public ushort? UInt16(string key) => (ushort?)Number(key, ushort.MaxValue);

    public byte? Byte(string key) => (byte?)Number(key, byte.MaxValue);

    /// <summary>A number of bytes: a whole number, with K, M, G or T for powers of 1024.</summary>
    public ulong? Size(string key) =>
        Text(key) is not { } text ? null : ParseSize(text) ?? throw Wrong(key, $"'{text}' is no size such as 4096, 512K, 128M, 2G or 1T");

    /// <summary>One of some words, in lower case.</summary>
    public T? Choice<T>(string key, params ReadOnlySpan<(string Word, T Value)> choices)
        where T : struct
    {
        if (Text(key) is not { } text)
        {
            return null;
        }

        foreach ((string word, T value) in choices)
        {
            if (word == text)
            {
                return value;
            }
        }

        var words = new List<string>();
        foreach ((string word, _) in choices)
        {
            words.Add(word);
        }

        throw Wrong(key, $"'{text}' is not one of {string.Join(", ", words)}");
    }

    /// <summary>The value of a size; null if it is none.</summary>
    public static ulong? ParseSize(string text)
    {
        int shift = text.Length == 0 ? 0 : text[^1] switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 };
        ReadOnlySpan<char> digits = shift == 0 ? text : text.AsSpan(0, text.Length - 1);
        return ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number <= ulong.MaxValue >> shift
            ? number << shift
            : null;
    }

    private CommandLineException Wrong(string key, string what) => new($"{_flag}: {key}: {what}");

    private CommandLineException UnknownKey(string key, ReadOnlySpan<string> keys)
    {
        string[] known = keys.ToArray();
        string hint = NearestMatch.Find(key, known) is { } nearest
            ? $"did you mean {nearest}?"
            : $"it takes {string.Join(", ", known.Where(k => k[0] != '_'))}";
        return new CommandLineException($"{_flag}: there is no key '{key}'; {hint}");
    }
}
