namespace Cnvm.CommandLine;

/// <summary>
/// The words of a command line, sorted by flag.
/// </summary>
/// <remarks>
/// Our own and not System.CommandLine: with that (3.0.0, measured) the program grows by 2 MB, its start takes 1.2 ms more of CPU time,
/// which is a quarter of the aim, and it does not trim without warnings. The option strings (<c>path=/a,readonly=on</c>) are most of the
/// grammar and would be left to us all the same.
/// </remarks>
internal sealed class Arguments
{
    private readonly Dictionary<string, List<string>> _values = [];

    /// <exception cref="CommandLineException">A word is no flag, or a flag has too few or too many values.</exception>
    public Arguments(IReadOnlyList<string> words)
    {
        int i = 0;
        while (i < words.Count)
        {
            i = TakeFlag(words, i);
        }
    }

    public bool Has(string flag) => _values.ContainsKey(flag);

    /// <summary>How often a flag without values stands.</summary>
    public int Count(string flag) => _values.TryGetValue(flag, out List<string>? values) ? values.Count : 0;

    /// <summary>The flag's value; null if the flag was not given.</summary>
    public string? Value(string flag) => _values.TryGetValue(flag, out List<string>? values) ? values[0] : null;

    /// <summary>The flag's values; null if the flag was not given.</summary>
    public IReadOnlyList<string>? Values(string flag) => _values.GetValueOrDefault(flag);

    /// <summary>A flag that was given and describes the VM; null if none was.</summary>
    public string? FirstVmFlag => First(f => f.IsVmConfig);

    /// <summary>A flag that was given and is such; null if none was.</summary>
    public string? First(Func<Flag, bool> isSuch) => _values.Keys.FirstOrDefault(k => isSuch(Flags.Find(k)!));

    private static bool LooksLikeFlag(string word) => word.Length > 1 && word[0] == '-';

    private int TakeFlag(IReadOnlyList<string> words, int index)
    {
        string word = words[index++];
        if (IsLetters(word))
        {
            TakeLetters(word);
            return index;
        }

        int equals = word.StartsWith("--", StringComparison.Ordinal) ? word.IndexOf('=', StringComparison.Ordinal) : -1;
        string name = equals < 0 ? word : word[..equals];
        Flag flag = Flags.Find(name) ?? throw Unknown(name);
        if (flag.Unsupported is { } subject)
        {
            throw new CommandLineException($"{flag.Name}: {subject} not supported yet by cnvm");
        }

        if (flag.Arity is FlagArity.None or FlagArity.Count)
        {
            if (equals >= 0)
            {
                throw new CommandLineException($"{flag.Name} takes no value");
            }

            Add(flag, "");
            return index;
        }

        if (equals >= 0)
        {
            Add(flag, word[(equals + 1)..]);
            return index;
        }

        int first = index;
        while (index < words.Count && !LooksLikeFlag(words[index]) && (index == first || flag.Arity == FlagArity.Many))
        {
            Add(flag, words[index++]);
        }

        return index > first
            ? index
            : throw new CommandLineException(
                $"{flag.Name} needs a value (see --help); a value that starts with a dash is written {flag.Name}=VALUE");
    }

    private void Add(Flag flag, string value)
    {
        if (!_values.TryGetValue(flag.Name, out List<string>? values))
        {
            _values.Add(flag.Name, [value]);
        }
        else if (flag.Arity is FlagArity.Count or FlagArity.Many)
        {
            values.Add(value);
        }
        else
        {
            throw new CommandLineException($"{flag.Name} is given twice");
        }
    }

    // -v, -vvv, -Vv
    private static bool IsLetters(string word) => word.Length > 1 && word[0] == '-' && word[1] != '-';

    private void TakeLetters(string word)
    {
        foreach (char letter in word.AsSpan(1))
        {
            Add(Flags.Find($"-{letter}") ?? throw Unknown(word), "");
        }
    }

    private static CommandLineException Unknown(string word)
    {
        if (!LooksLikeFlag(word))
        {
            return new CommandLineException($"'{word}' is no flag and belongs to none (see --help)");
        }

        string? nearest = NearestMatch.Find(word, Flags.Names);
        return new CommandLineException(
            nearest is null ? $"there is no flag {word} (see --help)" : $"there is no flag {word}; did you mean {nearest}?");
    }
}
