namespace Cnvm.Shim;

/// <summary>The command line that containerd gives to a shim: flags as Go's package flag takes them, then what to do.</summary>
internal sealed record ShimArguments
{
    public string Namespace { get; init; } = "";

    public string Address { get; init; } = "";

    public string Id { get; init; } = "";

    /// <summary>The container's folder; empty: the working directory.</summary>
    public string Bundle { get; init; } = "";

    /// <summary>Path of the socket that this process is to serve; empty if it is not to serve.</summary>
    public string Socket { get; init; } = "";

    public bool Debug { get; init; }

    public bool ShowVersion { get; init; }

    public bool ShowHelp { get; init; }

    /// <summary>Describe the runtime to containerd 2.</summary>
    public bool ShowInfo { get; init; }

    /// <summary><c>start</c>, <c>delete</c> or empty.</summary>
    public string Action { get; init; } = "";

    /// <exception cref="CommandLine.CommandLineException">A flag is not known or has no value.</exception>
    public static ShimArguments Parse(IReadOnlyList<string> words)
    {
        var parsed = new ShimArguments();
        for (int i = 0; i < words.Count; i++)
        {
            string word = words[i];
            if (!word.StartsWith('-') || word is "-" or "--")
            {
                string action = word is "-" or "--" ? words.ElementAtOrDefault(i + 1) ?? "" : word;
                return action is "start" or "delete" or ""
                    ? parsed with { Action = action }
                    : throw new CommandLine.CommandLineException($"'{action}' is nothing that a shim does; containerd asks for 'start' or 'delete'");
            }

            string name = word.TrimStart('-');
            string? value = null;
            if (name.IndexOf('=', StringComparison.Ordinal) is > 0 and int at)
            {
                (name, value) = (name[..at], name[(at + 1)..]);
            }

            parsed = name switch
            {
                "debug" => parsed with { Debug = IsOn(value) },
                "v" or "version" or "V" => parsed with { ShowVersion = IsOn(value) },
                "info" => parsed with { ShowInfo = IsOn(value) },
                "h" or "help" => parsed with { ShowHelp = IsOn(value) },
                _ => parsed.With(name, value ?? (i + 1 < words.Count ? words[++i] : throw new CommandLine.CommandLineException($"-{name} needs a value"))),
            };
        }

        return parsed;
    }

    private static bool IsOn(string? value) => value is null or "true" or "1";

    private ShimArguments With(string name, string value) => name switch
    {
        "namespace" => this with { Namespace = value },
        "address" => this with { Address = value },
        "id" => this with { Id = value },
        "bundle" => this with { Bundle = value },
        "socket" => this with { Socket = value },
        // How events were sent before there was a socket for them.
        "publish-binary" => this,
        _ => throw new CommandLine.CommandLineException($"-{name} is no flag of a shim; --help lists them"),
    };
}
