using Cnvm.Api.Registry;
using Cnvm.Cli.Commands;
using Cnvm.Cli.Output;
using Cnvm.CommandLine;

namespace Cnvm.Cli.Parsing;

/// <summary>What a command line says.</summary>
internal sealed class Invocation
{
    private readonly Dictionary<string, string> _options = [];
    private readonly Dictionary<string, List<string>> _repeated = [];
    private readonly List<string> _words = [];

    private Invocation()
    {
    }

    /// <summary>Null when only help or the version is asked for.</summary>
    public Command? Command { get; private set; }

    public bool ShowHelp => _options.ContainsKey("--help");

    public bool ShowVersion => _options.ContainsKey("--version");

    public bool Json => _options.ContainsKey(Option.Json);

    public string? ApiSocket => Value(Option.ApiSocket);

    /// <summary>The VM as it was written; null if it was left out.</summary>
    public string? Vm { get; private set; }

    /// <summary>Words that follow the VM.</summary>
    public IReadOnlyList<string> Operands { get; private set; } = [];

    /// <summary>Flags of cnvm-vmm, as they were written.</summary>
    public IReadOnlyList<string> VmmFlags { get; private set; } = [];

    /// <exception cref="CliException">The arguments are wrong.</exception>
    public static Invocation Parse(IReadOnlyList<string> args)
    {
        var invocation = new Invocation();
        invocation.Read(args);
        if (invocation.ShowHelp || invocation.ShowVersion)
        {
            return invocation;
        }

        if (invocation.Command is null)
        {
            throw CliException.Usage("which command? (see cnvm --help)");
        }

        invocation.SortWords();
        return invocation;
    }

    public bool Has(string option) => _options.ContainsKey(option);

    /// <summary>An option's value; null if it was not given.</summary>
    public string? Value(string option) => _options.GetValueOrDefault(option);

    /// <summary>All values of an option that may be given several times, in their order.</summary>
    public IReadOnlyList<string> Values(string option) => _repeated.GetValueOrDefault(option) ?? [];

    /// <summary>The value of an option that has to be given.</summary>
    /// <exception cref="CliException">It was not given.</exception>
    public string Required(string option) => Value(option) ?? throw CliException.Usage($"{option} is missing (see cnvm {Command!.Name} --help)");

    /// <summary>An option's duration; null if it was not given.</summary>
    /// <exception cref="CliException">It is no duration.</exception>
    public TimeSpan? Duration(string option) => Value(option) is not { } text
        ? null
        : Units.ParseDuration(text) ?? throw CliException.Usage($"{option}: '{text}' is no duration such as 500ms, 30s, 5m or 1h");

    /// <summary>An option's size in bytes; null if it was not given.</summary>
    /// <exception cref="CliException">It is no size.</exception>
    public ulong? Size(string option) => Value(option) is not { } text
        ? null
        : OptionString.ParseSize(text) ?? throw CliException.Usage($"{option}: '{text}' is no size such as 4096, 512K, 128M, 2G or 1T");

    private void Read(IReadOnlyList<string> given)
    {
        bool onlyWords = false;
        List<string> args = [.. given];
        for (int i = 0; i < args.Count; i++)
        {
            Separate(args, i);
            string word = args[i];
            onlyWords |= Command is { EndsWithCommandLine: true } && _words.Count > 0;
            if (onlyWords || word.Length < 2 || word[0] != '-')
            {
                TakeWord(word);
                continue;
            }

            if (word == "--")
            {
                onlyWords = true;
                continue;
            }

            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? word : word[..equals];
            if (FindOption(name) is not { } option)
            {
                if (Command is not { TakesVmmFlags: true } || (name.StartsWith("--", StringComparison.Ordinal) && Flags.Find(name) is null))
                {
                    throw UnknownOption(name);
                }

                i = TakeVmmFlag(args, i);
                continue;
            }

            string? value = equals < 0 ? null : word[(equals + 1)..];
            if (option.Value is null && value is not null)
            {
                throw CliException.Usage($"{name} takes no value");
            }

            if (option.Value is not null && value is null)
            {
                value = ++i < args.Count ? args[i] : throw CliException.Usage($"{name} needs a value: {name} {option.Value}");
            }

            if (option.IsRepeatable)
            {
                Add(option.Name, value!);
            }
            else if (!_options.TryAdd(option.Name, value ?? "") && option.Value is not null)
            {
                throw CliException.Usage($"{option.Name} is given twice");
            }
        }
    }

    private void Add(string option, string value)
    {
        if (!_repeated.TryGetValue(option, out List<string>? values))
        {
            _repeated.Add(option, values = []);
        }

        values.Add(value);
    }

    /// <summary>Takes short options that stand together, as -it, apart: all but the last take no value.</summary>
    private void Separate(List<string> args, int index)
    {
        string word = args[index];
        if (Command is not { EndsWithCommandLine: true } || _words.Count > 0 || word.Length < 3 || word[0] != '-' || word[1] == '-'
            || word.Contains('=', StringComparison.Ordinal))
        {
            return;
        }

        var letters = new List<string>();
        foreach (char letter in word.AsSpan(1))
        {
            if (FindOption($"-{letter}") is not { } option || (option.Value is not null && letters.Count < word.Length - 2))
            {
                return;
            }

            letters.Add($"-{letter}");
        }

        args.RemoveAt(index);
        args.InsertRange(index, letters);
    }

    private Option? FindOption(string name) =>
        (Command?.Options ?? []).Concat(Option.Global).FirstOrDefault(o => o.Name == name || (o.Short == name && o.Short is not null));

    /// <summary>A flag of cnvm-vmm goes on as it is, with its values; they end at the next dash. Wrong ones are refused later, as there.</summary>
    private int TakeVmmFlag(IReadOnlyList<string> args, int index)
    {
        List<string> flags = [.. VmmFlags, args[index]];
        bool takesValues = Flags.Find(args[index])?.Arity is FlagArity.One or FlagArity.Many;
        bool many = Flags.Find(args[index])?.Arity is FlagArity.Many;
        while (takesValues && index + 1 < args.Count && (args[index + 1].Length < 2 || args[index + 1][0] != '-'))
        {
            flags.Add(args[++index]);
            takesValues = many;
        }

        VmmFlags = flags;
        return index;
    }

    private void TakeWord(string word)
    {
        if (Command is not null)
        {
            if (_words.Count == 0 && CommandTable.FindSecond(Command, word) is { } second)
            {
                Command = second;
                return;
            }

            _words.Add(word);
            return;
        }

        Command = CommandTable.Find(word) ?? throw UnknownCommand(word);
    }

    /// <summary>Tells the VM from the words that follow it.</summary>
    private void SortWords()
    {
        Command command = Command!;
        if (command.TakesAnyWords)
        {
            Operands = _words;
            return;
        }

        int most = command.Operands.Count;
        // The VM stands first. Without it, as ch-remote is called, there is one word fewer.
        bool named = command.Vm switch
        {
            VmUse.None => false,
            VmUse.Name or VmUse.New => _words.Count > 0,
            _ when command.RequiredOperands < most => _words.Count == most + 1 || (_words.Count == 1 && (VmmFlags.Count > 0 || ReadsAsName(_words[0]))),
            _ => _words.Count > most,
        };
        if (named)
        {
            Vm = _words[0];
            _words.RemoveAt(0);
            if (ApiSocket is not null && command.Vm != VmUse.New)
            {
                throw CliException.Usage($"'{Vm}' or {Option.ApiSocket} says which VM: give one of them");
            }
        }

        if (_words.Count < command.RequiredOperands)
        {
            throw CliException.Usage($"{command.Operands[_words.Count]} is missing; usage: cnvm {command.Usage}");
        }

        if (_words.Count > most)
        {
            throw CliException.Usage($"'{_words[most]}' is one word too many; usage: cnvm {command.Usage}");
        }

        Operands = _words;
    }

    /// <summary>Whether the one word of `create` is rather a VM's name than a file with its configuration.</summary>
    private bool ReadsAsName(string word) => ApiSocket is null && VmRegistry.IsValidName(word) && !word.EndsWith(".json", StringComparison.Ordinal) && !File.Exists(word);

    private CliException UnknownOption(string name)
    {
        IEnumerable<string> names = (Command?.Options ?? []).Concat(Option.Global).Select(o => o.Name)
            .Concat(Command is { TakesVmmFlags: true } ? Flags.Names : []);
        string where = Command is null ? "cnvm" : $"cnvm {Command.Name}";
        return CliException.Usage(NearestMatch.Find(name, names) is { } nearest
            ? $"{where} has no option {name}; did you mean {nearest}?"
            : $"{where} has no option {name} (see {where} --help)");
    }

    private static CliException UnknownCommand(string word)
    {
        string? nearest = NearestMatch.Find(word, CommandTable.Visible.Select(c => c.Name));
        return CliException.Usage(nearest is null
            ? $"there is no command '{word}' (see cnvm --help)"
            : $"there is no command '{word}'; did you mean {nearest}?");
    }
}
