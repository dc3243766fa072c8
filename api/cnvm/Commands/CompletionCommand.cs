using System.Text.Json;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;

namespace Cnvm.Cli.Commands;

/// <summary>Completion scripts of shells, and the answers to what those scripts ask.</summary>
internal static class CompletionCommand
{
    private const int AnswerMilliseconds = 500;

    public static int Run(Invocation invocation)
    {
        Stdio.Print(invocation.Operands[0] switch
        {
            "bash" => Bash,
            "zsh" => Zsh,
            "fish" => Fish,
            _ => throw CliException.Usage($"'{invocation.Operands[0]}' is not one of bash, zsh, fish"),
        });
        return ExitCode.Success;
    }

    /// <summary>Words of a command line after <c>cnvm</c>; the last one is being typed. Prints nothing where a file is meant.</summary>
    public static IReadOnlyList<string> Candidates(IReadOnlyList<string> words)
    {
        string typed = words.Count == 0 ? "" : words[^1];
        List<string> before = [.. words.Take(words.Count - 1)];
        (Command? command, List<string> operands, string? pending) = Scan(before);
        IEnumerable<string> all;
        if (pending is not null)
        {
            all = (command?.Options ?? []).FirstOrDefault(o => o.Name == pending)?.Choices ?? [];
        }
        else if (typed.StartsWith('-'))
        {
            all = (command?.Options ?? []).Concat(Option.Global).Select(o => o.Name)
                .Concat(command is { TakesVmmFlags: true } ? Flags.Names : []).Distinct();
        }
        else if (command is null)
        {
            all = CommandTable.Visible.Select(c => c.Name).Where(n => !n.Contains(' ', StringComparison.Ordinal));
        }
        else
        {
            all = WordsOf(command, operands, before);
        }

        return [.. all.Where(c => c.StartsWith(typed, StringComparison.Ordinal))];
    }

    /// <summary>The hidden command behind the scripts.</summary>
    public static int Complete(Invocation invocation)
    {
        foreach (string candidate in Candidates(invocation.Operands))
        {
            Stdio.Print(candidate);
        }

        return ExitCode.Success;
    }

    private static (Command? Command, List<string> Operands, string? Pending) Scan(List<string> before)
    {
        Command? command = null;
        var operands = new List<string>();
        string? pending = null;
        foreach (string word in before)
        {
            if (pending is not null)
            {
                pending = null;
            }
            else if (word.StartsWith('-'))
            {
                Option? option = (command?.Options ?? []).Concat(Option.Global).FirstOrDefault(o => o.Name == word);
                bool takesValue = option?.Value is not null || (option is null && Flags.Find(word)?.Arity is FlagArity.One or FlagArity.Many);
                pending = takesValue ? word : null;
            }
            else if (command is null)
            {
                command = CommandTable.Find(word);
            }
            else if (operands.Count == 0 && CommandTable.FindSecond(command, word) is { } second)
            {
                command = second;
            }
            else
            {
                operands.Add(word);
            }
        }

        return (command, operands, pending);
    }

    private static IEnumerable<string> WordsOf(Command command, List<string> operands, List<string> before)
    {
        bool bySocket = before.Contains(Option.ApiSocket);
        if (command.Name == "completion")
        {
            return operands.Count == 0 ? ["bash", "zsh", "fish"] : [];
        }

        if (operands.Count == 0 && command.Vm is not (VmUse.None or VmUse.New) && !bySocket)
        {
            return [.. SecondWords(command), .. VmRegistry.List().Select(e => e.Name)];
        }

        return command.Name == "remove-device" && operands.Count == 1 && !bySocket ? DeviceIds(operands[0]) : [];
    }

    private static IEnumerable<string> SecondWords(Command command) => CommandTable.Visible.Select(c => c.Name)
        .Where(n => n.StartsWith(command.Name + ' ', StringComparison.Ordinal)).Select(n => n[(command.Name.Length + 1)..]);

    // Completion says nothing where a person expects nothing: a VM that does not answer has no devices to offer.
    private static IEnumerable<string> DeviceIds(string vm)
    {
        try
        {
            VmEntry? entry = VmRegistry.List().FirstOrDefault(e => e.Name == vm);
            if (entry is null)
            {
                return [];
            }

            using CnvmClient client = CnvmClient.Connect(entry.ApiSocket);
            client.TimeoutMilliseconds = AnswerMilliseconds;
            using JsonDocument info = JsonDocument.Parse(client.Call("GET", "vm.info"));
            return [.. ShowCommand.DeviceIds(info.RootElement)];
        }
        catch (Exception e) when (e is IOException or ApiCallException or JsonException)
        {
            return [];
        }
    }

    private const string Bash =
        """
        # bash completion of cnvm
        _cnvm() {
            local line
            COMPREPLY=()
            while IFS= read -r line; do
                COMPREPLY+=("$line")
            done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
        }
        complete -o default -F _cnvm cnvm
        """;

    private const string Zsh =
        """
        #compdef cnvm
        # zsh completion of cnvm
        _cnvm() {
            local -a candidates
            candidates=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
            candidates=("${(@)candidates:#}")
            if (( ${#candidates} )); then
                compadd -- "${candidates[@]}"
            else
                _files
            fi
        }
        if [[ $funcstack[1] == _cnvm ]]; then
            _cnvm "$@"
        else
            compdef _cnvm cnvm
        fi
        """;

    private const string Fish =
        """
        # fish completion of cnvm
        function __cnvm_complete
            set -l words (commandline -opc) (commandline -ct)
            $words[1] __complete -- $words[2..-1] 2>/dev/null
        end
        complete -c cnvm -a '(__cnvm_complete)'
        """;
}
