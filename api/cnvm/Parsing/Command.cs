namespace Cnvm.Cli.Parsing;

/// <summary>A command: what it takes, what its help says, and what it does. One table of these makes help, man page and completion.</summary>
/// <param name="Name">As it is typed; two words if another command has the first one as its name.</param>
/// <param name="Summary">One line.</param>
/// <param name="Run">Carries it out; returns the exit code.</param>
internal sealed record Command(string Name, string Summary, Func<Invocation, int> Run)
{
    /// <summary>Whether it is about a VM.</summary>
    public VmUse Vm { get; init; } = VmUse.Required;

    /// <summary>Names of the words that follow the VM; one in brackets may be left out.</summary>
    public IReadOnlyList<string> Operands { get; init; } = [];

    public IReadOnlyList<Option> Options { get; init; } = [];

    /// <summary>The flags of cnvm-vmm may follow.</summary>
    public bool TakesVmmFlags { get; init; }

    /// <summary>Every word is an operand, and there may be any number.</summary>
    public bool TakesAnyWords { get; init; }

    /// <summary>What follows the first word is another program's command line, whatever it looks like; short options may stand together (-it).</summary>
    public bool EndsWithCommandLine { get; init; }

    /// <summary>Further lines of its help.</summary>
    public string Details { get; init; } = "";

    /// <summary>Not in the help: for scripts that this program writes itself.</summary>
    public bool IsHidden { get; init; }

    /// <summary>The command and everything that it takes.</summary>
    public string Usage
    {
        get
        {
            List<string> words = [Synopsis];
            words.AddRange(Options.Select(o => o.Value is null ? $"[{o.Name}]" : $"[{o.Name} {o.Value}]"));
            if (TakesVmmFlags)
            {
                words.Add("[FLAGS OF cnvm-vmm]");
            }

            return string.Join(' ', words);
        }
    }

    /// <summary>The command and the words that follow it.</summary>
    public string Synopsis => string.Join(' ', [Name, .. VmWord, .. Operands]);

    public int RequiredOperands => Operands.Count(o => o[0] != '[');

    private IEnumerable<string> VmWord => Vm switch
    {
        VmUse.None => [],
        VmUse.Optional => ["[VM]"],
        VmUse.New => ["[NAME]"],
        _ => ["VM"],
    };
}
