using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Cnvm.CommandLine;

/// <summary>
/// The words that a back end program was started with, sorted by flag. Some flags all of these programs have: those of "Backend program
/// conventions" in the vhost-user protocol, and those that say what is logged and shown.
/// </summary>
internal sealed class BackendArguments
{
    public const string SocketPath = "--socket-path";
    public const string SocketFd = "--fd";
    public const string PrintCapabilities = "--print-capabilities";
    public const string LogFile = "--log-file";
    public const string Level = "--log-level";
    public const string Help = "--help";
    public const string Version = "--version";

    private const string Socket = "--socket";

    private static readonly string[] AllWithValue = [SocketPath, Socket, SocketFd, LogFile, Level];
    private static readonly string[] AllWithoutValue = [PrintCapabilities, "-v", "-vv", "-vvv", "-V", Version, "-h", Help];

    private readonly Dictionary<string, string?> _given = new(StringComparer.Ordinal);

    /// <param name="withValue">The program's own flags that take a value.</param>
    /// <param name="withoutValue">Those that take none.</param>
    /// <exception cref="CommandLineException">A flag is unknown, stands twice, or has a value or none where it is the other way round.</exception>
    public BackendArguments(IReadOnlyList<string> words, ReadOnlySpan<string> withValue, ReadOnlySpan<string> withoutValue)
    {
        string[] takers = [.. withValue, .. AllWithValue];
        string[] switches = [.. withoutValue, .. AllWithoutValue];
        for (int i = 0; i < words.Count; i++)
        {
            int equals = words[i].StartsWith("--", StringComparison.Ordinal) ? words[i].IndexOf('=', StringComparison.Ordinal) : -1;
            string word = equals < 0 ? words[i] : words[i][..equals];
            string? value = equals < 0 ? null : words[i][(equals + 1)..];
            if (takers.Contains(word))
            {
                value ??= ++i < words.Count ? words[i] : throw new CommandLineException($"{word} needs a value");
            }
            else if (!switches.Contains(word) || value is not null)
            {
                throw value is not null && switches.Contains(word) ? new CommandLineException($"{word} takes no value") : Unknown(word, [.. takers, .. switches]);
            }

            Add(word, value);
        }
    }

    /// <summary>Least severe lines that are logged.</summary>
    public LogLevel LogLevel { get; private set; } = LogLevel.Warning;

    /// <summary>Something is to be shown, and nothing served: other flags may be wrong.</summary>
    public bool OnlyShows => Has(Help) || Has(Version) || Has(PrintCapabilities);

    public bool Has(string flag) => _given.ContainsKey(flag);

    /// <summary>The value of a flag; null if it was not given.</summary>
    public string? Value(string flag) => _given.GetValueOrDefault(flag);

    /// <summary>Where front ends connect.</summary>
    /// <param name="path">A path from elsewhere, if there is one.</param>
    /// <param name="place">What that flag is called.</param>
    /// <param name="hint">What to give if nothing is given.</param>
    /// <exception cref="CommandLineException">It is not said, or twice.</exception>
    public PathOrFd ParseSocket(string? path, string place, string hint)
    {
        path = Either(place, path, SocketPath, Value(SocketPath));
        if (Value(SocketFd) is not { } fd)
        {
            return path is null ? throw new CommandLineException($"where do front ends connect? give {hint} (see --help)") : new PathOrFd(path, null);
        }

        return path is not null ? throw new CommandLineException($"{SocketFd} is a socket already: leave {path} out")
            : int.TryParse(fd, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? new PathOrFd(null, number)
            : throw new CommandLineException($"{SocketFd}: '{fd}' is no descriptor's number");
    }

    /// <summary>One of two places where the same may be said.</summary>
    /// <exception cref="CommandLineException">It is said in both.</exception>
    public static string? Either(string first, string? one, string second, string? other) =>
        one is not null && other is not null ? throw new CommandLineException($"{first} and {second} say the same: leave one out") : one ?? other;

    /// <summary>Notes a flag; those that have a letter or another name under the first one.</summary>
    private void Add(string word, string? value)
    {
        string name = word switch { Socket => SocketPath, "-h" => Help, "-V" => Version, _ => word };
        if (name.StartsWith("-v", StringComparison.Ordinal))
        {
            LogLevel = name.Length switch { 2 => LogLevel.Information, 3 => LogLevel.Debug, _ => LogLevel.Trace };
            return;
        }

        if (!_given.TryAdd(name, value))
        {
            throw new CommandLineException($"{word} is given twice");
        }

        if (name == Level)
        {
            LogLevel = value switch
            {
                "error" => LogLevel.Error,
                "warn" => LogLevel.Warning,
                "info" => LogLevel.Information,
                "debug" => LogLevel.Debug,
                "trace" => LogLevel.Trace,
                _ => throw new CommandLineException($"{Level}: '{value}' is not one of error, warn, info, debug, trace"),
            };
        }
    }

    private static CommandLineException Unknown(string word, string[] flags)
    {
        string hint = NearestMatch.Find(word, flags) is { } nearest ? $"did you mean {nearest}?" : "see --help";
        return new CommandLineException($"there is no flag '{word}'; {hint}");
    }
}
