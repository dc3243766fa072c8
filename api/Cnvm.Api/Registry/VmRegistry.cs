using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Cnvm.Linux;

namespace Cnvm.Api.Registry;

/// <summary>
/// The VMMs that run now: each leaves a file in the runtime directory, <c>$XDG_RUNTIME_DIR/cnvm</c>, else <c>/run/cnvm</c> for root, else
/// <c>/tmp/cnvm-UID</c>, or in <c>$CNVM_RUNTIME_DIR</c> and nowhere else; that directory is its user's alone. A file is locked as long as its
/// VMM lives, so what a killed VMM left behind is told from the living without asking, and removed by whoever sees it.
/// </summary>
public static class VmRegistry
{
    /// <summary>Longest name: a socket's path, with the directory before it, ends at 107 bytes.</summary>
    public const int MaxNameLength = 63;

    private const string Extension = ".json";
    private const string SocketExtension = ".sock";
    private const string LogExtension = ".log";

    /// <summary>Where this user's VMMs leave their entries; it may not exist yet.</summary>
    public static string Folder => Folders()[0];

    /// <summary>Where the API socket of a VM goes that has a name and no path for it.</summary>
    public static string SocketPathOf(string name) => Path.Combine(Folder, name + SocketExtension);

    /// <summary>Where the messages of a VMM go that was started without a terminal.</summary>
    public static string LogPathOf(string name) => Path.Combine(Folder, name + LogExtension);

    /// <summary>Makes the runtime directory if it does not exist.</summary>
    /// <exception cref="LinuxException">It cannot be made, or is not this user's alone.</exception>
    public static void EnsureFolder() => PrivateDirectory.Open(Folder, create: true)!.Dispose();

    /// <summary>Letters, digits, dots, dashes and underscores, the first a letter or digit, at most <see cref="MaxNameLength"/>.</summary>
    public static bool IsValidName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.Length is > 0 and <= MaxNameLength && char.IsAsciiLetterOrDigit(name[0])
            && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');
    }

    /// <summary>
    /// Writes this process down under a name. The caller disposes the result when the socket goes; if the process is killed, the entry
    /// counts as gone at once.
    /// </summary>
    /// <param name="name">Null for one made of the socket's file name.</param>
    /// <param name="apiSocket">Path of the socket that is being served.</param>
    /// <exception cref="IOException">The name is not valid or taken, or the directory cannot be used.</exception>
    public static VmRegistration Register(string? name, string apiSocket)
    {
        if (name is not null && !IsValidName(name))
        {
            throw new IOException(
                $"VM name '{name}': a name has 1 to {MaxNameLength} letters, digits, dots, dashes and underscores, and starts with a letter or digit");
        }

        string path = Path.GetFullPath(apiSocket);
        using PrivateDirectory directory = PrivateDirectory.Open(Folder, create: true)!;
        string[] candidates = name is not null ? [name] : NamesOf(path);
        foreach (string candidate in candidates)
        {
            string file = Path.Combine(Folder, candidate + Extension);
            if (OwnedFile.TryCreate(file) is not { } entry)
            {
                continue;
            }

            try
            {
                entry.Append(Format(new VmEntry(candidate, Environment.ProcessId, path, DateTimeOffset.UtcNow)));
                return new VmRegistration(candidate, Folder, entry);
            }
            catch
            {
                entry.Dispose();
                throw;
            }
        }

        throw new IOException($"a VM named '{candidates[^1]}' is running; choose another name, or see `cnvm ps`");
    }

    /// <summary>The running VMMs of this user by name. Entries of dead ones are removed.</summary>
    /// <exception cref="IOException">A directory cannot be read.</exception>
    public static IReadOnlyList<VmEntry> List()
    {
        var entries = new List<VmEntry>();
        string[] folders = Folders();
        foreach (string folder in folders)
        {
            try
            {
                using PrivateDirectory? directory = PrivateDirectory.Open(folder, create: false);
                if (directory is not null)
                {
                    ReadFolder(folder, entries);
                }
            }
            catch (LinuxException) when (folder != folders[0])
            {
                // Not ours: anybody may make a directory of that name in /tmp, and our own VMs are elsewhere.
                continue;
            }
        }

        return [.. entries.OrderBy(e => e.Name, StringComparer.Ordinal)];
    }

    // Without the serializer: a VMM that nobody asks anything never sets it up.
    private static ReadOnlySpan<byte> Format(VmEntry entry)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("name", entry.Name);
            writer.WriteNumber("pid", entry.Pid);
            writer.WriteString("api_socket", entry.ApiSocket);
            writer.WriteString("started", entry.Started);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan;
    }

    private static void ReadFolder(string folder, List<VmEntry> entries)
    {
        foreach (string file in Directory.EnumerateFiles(folder, "*" + Extension))
        {
            if (!OwnedFile.IsHeld(file))
            {
                File.Delete(file);
                RemoveIfEmpty(Path.ChangeExtension(file, LogExtension));
                continue;
            }

            try
            {
                if (JsonSerializer.Deserialize(File.ReadAllBytes(file), RegistryJsonContext.Default.VmEntry) is { } entry)
                {
                    entries.Add(entry);
                }
            }
            catch (JsonException e)
            {
                throw new IOException($"{file} is no entry of a VM: {e.Message}", e);
            }
        }
    }

    /// <summary>A log in which nothing was said goes with its VM.</summary>
    internal static void RemoveIfEmpty(string log)
    {
        var file = new FileInfo(log);
        if (file.Exists && file.Length == 0)
        {
            file.Delete();
        }
    }

    private static string[] NamesOf(string socket)
    {
        string stem = new(Array.ConvertAll(Path.GetFileNameWithoutExtension(socket).ToCharArray(), c => char.IsAscii(c) && IsValidName($"a{c}") ? c : '-'));
        const int SuffixLength = 11;
        stem = stem.TrimStart('.', '-', '_');
        stem = stem.Length == 0 ? "vm" : stem[..Math.Min(stem.Length, MaxNameLength - SuffixLength)];
        return [stem, string.Create(CultureInfo.InvariantCulture, $"{stem}-{Environment.ProcessId}")];
    }

    /// <summary>All directories that may have entries of this user; the first is where new ones go.</summary>
    private static string[] Folders()
    {
        if (Environment.GetEnvironmentVariable("CNVM_RUNTIME_DIR") is { } only && Path.IsPathRooted(only))
        {
            return [only];
        }

        uint user = PrivateDirectory.UserId;
        string ofSystem = user == 0 ? "/run/cnvm" : string.Create(CultureInfo.InvariantCulture, $"/tmp/cnvm-{user}");
        return Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { } runtime && Path.IsPathRooted(runtime) && Directory.Exists(runtime)
            ? [Path.Combine(runtime, "cnvm"), ofSystem]
            : [ofSystem];
    }
}
