namespace Cnvm.Cli.Parsing;

/// <summary>An option of a command.</summary>
/// <param name="Name">With its dashes.</param>
/// <param name="Value">What its value is called in the help; null if it takes none.</param>
/// <param name="Help">One line.</param>
internal sealed record Option(string Name, string? Value, string Help)
{
    public const string ApiSocket = "--api-socket";
    public const string Json = "--json";

    /// <summary>Options that every command takes, before or after its name.</summary>
    public static IReadOnlyList<Option> Global { get; } =
    [
        new(ApiSocket, "PATH", "talk to the VMM at this socket instead of naming a VM"),
        new(Json, null, "output, and errors, as JSON"),
        new("--help", null, "help, also for one command: cnvm COMMAND --help") { Short = "-h" },
        new("--version", null, "version") { Short = "-V" },
    ];

    /// <summary>One letter with its dash; null for none.</summary>
    public string? Short { get; init; }

    /// <summary>It may be given several times; <see cref="Invocation.Values"/> has all values.</summary>
    public bool IsRepeatable { get; init; }

    /// <summary>Words that the value is one of, for completion.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];
}
