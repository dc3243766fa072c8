using System.Globalization;
using Tomlyn;
using Tomlyn.Parsing;

namespace Cnvm.Shim.Config;

/// <summary>The file that containerd's configuration names for this runtime (ConfigPath), in TOML.</summary>
internal sealed record ShimConfig
{
    public const int MostCpus = 255;
    private const ulong LeastMemory = 64UL << 20;
    private const ulong MostMemory = 1UL << 42;
    private const long MostBytes = 1 << 20;

    /// <summary>What <c>[sandbox]</c> takes.</summary>
    private static readonly string[] Keys = ["vmm", "kernel", "initramfs", "command_line", "cpus", "memory", "templates"];

    /// <summary>Path of cnvm-vmm; null: beside the shim, or in PATH.</summary>
    public string? Vmm { get; init; }

    /// <summary>Path of the guest's kernel; null: cnvm's.</summary>
    public string? Kernel { get; init; }

    /// <summary>Path of the initramfs; null: cnvm's.</summary>
    public string? Initramfs { get; init; }

    /// <summary>Words for the kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>Processors of a sandbox whose containers have no limit.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Bytes of memory of a sandbox whose containers have no limit; with one, that the guest's system itself gets beside it.</summary>
    public ulong Memory { get; init; } = 256UL << 20;

    /// <summary>Folder with saved virtual machines that sandboxes go on from instead of booting; null: they boot.</summary>
    public string? Templates { get; init; }

    /// <exception cref="ShimException">The file cannot be read, or says something that this runtime does not know.</exception>
    public static ShimConfig Load(string path)
    {
        try
        {
            return new FileInfo(path).Length <= MostBytes
                ? Parse(path, File.ReadAllText(path))
                : throw new ShimException($"{path} has more than {MostBytes} bytes");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ShimException($"runtime configuration: {e.Message}", e);
        }
    }

    /// <param name="name">Of the text, for messages.</param>
    /// <exception cref="ShimException">The text is no TOML, or says something that this runtime does not know.</exception>
    public static ShimConfig Parse(string name, string text)
    {
        var config = new ShimConfig();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            TomlParser parser = TomlParser.Create(text, new TomlParserOptions { Mode = TomlParserMode.Strict, EagerStringValues = true });
            int depth = 0;
            string table = "";
            string key = "";
            int line = 0;
            while (parser.MoveNext())
            {
                switch (parser.Current.Kind)
                {
                    case TomlParseEventKind.StartTable:
                        depth++;
                        table = depth == 1 ? "" : depth == 2 && key == "sandbox" ? key : throw Unknown(name, line, $"table '{key}'", "there is one table: [sandbox]");
                        break;
                    case TomlParseEventKind.EndTable:
                        depth--;
                        table = "";
                        break;
                    case TomlParseEventKind.PropertyName:
                        key = parser.GetPropertyName();
                        line = parser.Current.Line;
                        if (table.Length > 0 && !seen.Add(key))
                        {
                            throw Unknown(name, line, $"key '{key}'", "it is there twice");
                        }

                        break;
                    case TomlParseEventKind.StartDocument or TomlParseEventKind.EndDocument:
                        break;
                    default:
                        config = table.Length > 0
                            ? config.With(name, parser, key)
                            : throw Unknown(name, line, $"key '{key}'", "keys of this runtime are in [sandbox]");
                        break;
                }
            }
        }
        catch (TomlException e)
        {
            throw new ShimException($"{name}: {e.Message}", e);
        }

        return config;
    }

    private static ShimException Unknown(string name, int line, string what, string advice) =>
        new($"{name}, line {line}: {what}: {advice}");

    private ShimConfig With(string name, TomlParser parser, string key) => key switch
    {
        "vmm" => this with { Vmm = FilePath(name, parser, key) },
        "kernel" => this with { Kernel = FilePath(name, parser, key) },
        "initramfs" => this with { Initramfs = FilePath(name, parser, key) },
        "command_line" => this with { CommandLine = Text(name, parser, key) },
        "cpus" => this with { Cpus = (int)Number(name, parser, key, 1, MostCpus) },
        "memory" => this with { Memory = Size(name, parser, key) },
        "templates" => this with { Templates = FilePath(name, parser, key) },
        _ => throw Unknown(name, parser.Current.Line, $"key '{key}'", $"[sandbox] takes {string.Join(", ", Keys)}"),
    };

    private static string Text(string name, TomlParser parser, string key) => parser.Current.Kind == TomlParseEventKind.String
        ? parser.GetString()
        : throw Unknown(name, parser.Current.Line, $"key '{key}'", "its value is a text in quotes");

    private static string FilePath(string name, TomlParser parser, string key)
    {
        string path = Text(name, parser, key);
        return Path.IsPathRooted(path) ? path : throw Unknown(name, parser.Current.Line, $"key '{key}'", $"'{path}' is no absolute path");
    }

    private static long Number(string name, TomlParser parser, string key, long least, long most) =>
        parser.Current.Kind == TomlParseEventKind.Integer && parser.Current.GetInt64() is var value && value >= least && value <= most
            ? value
            : throw Unknown(name, parser.Current.Line, $"key '{key}'", $"its value is a number from {least} to {most}");

    // As the command line takes sizes: a number of bytes, or of K, M, G.
    private static ulong Size(string name, TomlParser parser, string key)
    {
        string text = Text(name, parser, key);
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        return ulong.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            && number <= MostMemory >> shift && number << shift >= LeastMemory
            ? number << shift
            : throw Unknown(name, parser.Current.Line, $"key '{key}'", $"'{text}' is no size of at least {LeastMemory >> 20}M, such as \"512M\" or \"2G\"");
    }
}
