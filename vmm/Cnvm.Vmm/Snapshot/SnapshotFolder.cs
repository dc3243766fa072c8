using System.Text.Json;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>A snapshot on disk.</summary>
public static class SnapshotFolder
{
    internal const string FormatName = "cnvm-state";

    private const string TemporarySuffix = ".cnvm-partial";

    // The state in base64 and a few words around it.
    private const long MaxStateFileBytes = (StateFormat.MaxBytes / 3L * 4) + 4096;
    private const long MaxConfigFileBytes = 16 << 20;

    /// <summary>
    /// Writes a snapshot under temporary names and renames it when it is whole and on the disk, the state last. When anything fails, nothing of it stays.
    /// </summary>
    /// <param name="folder">An existing folder without a snapshot.</param>
    /// <param name="config">Contents of <see cref="SnapshotFiles.Config"/>.</param>
    /// <param name="writeMemory">Writes the memory file, opened for writing; null when nothing has to be in it.</param>
    /// <param name="makeState">Called after the memory has been written.</param>
    /// <param name="disks">What else belongs to it: names, and who writes them to files that are opened for writing.</param>
    /// <exception cref="SnapshotException">The folder does not exist or has a snapshot, or writing failed.</exception>
    internal static void Write(
        string folder,
        ReadOnlySpan<byte> config,
        Action<SafeFileHandle>? writeMemory,
        Func<MachineState> makeState,
        IReadOnlyList<SnapshotDisk>? disks = null)
    {
        if (!Directory.Exists(folder))
        {
            throw new SnapshotException($"{folder} is no folder: create it first");
        }

        disks ??= [];
        using DirectoryLock sole = Lock(folder);
        foreach (string name in (ReadOnlySpan<string>)[SnapshotFiles.Config, SnapshotFiles.State, SnapshotFiles.Memory, .. disks.Select(d => d.FileName)])
        {
            if (File.Exists(Path.Combine(folder, name)))
            {
                throw new SnapshotException($"{Path.Combine(folder, name)} exists: take the snapshot to an empty folder");
            }
        }

        var made = new List<string>();
        try
        {
            foreach (SnapshotDisk disk in disks)
            {
                using var copy = Create(folder, disk.FileName, made);
                disk.Write(copy);
                RandomAccess.FlushToDisk(copy);
            }

            if (writeMemory is not null)
            {
                using var memory = Create(folder, SnapshotFiles.Memory, made);
                writeMemory(memory);
                RandomAccess.FlushToDisk(memory);
            }

            WriteFile(folder, SnapshotFiles.Config, config, made);
            WriteFile(folder, SnapshotFiles.State, Envelope(StateWriter.Write(makeState(), MachineElements.Describe)), made);
            foreach (string temporary in made.ToArray())
            {
                string final = temporary[..^TemporarySuffix.Length];
                File.Move(temporary, final);
                made[made.IndexOf(temporary)] = final;
            }

            DirectoryFlush.Flush(folder);
        }
        catch (Exception e)
        {
            foreach (string path in made)
            {
                File.Delete(path);
            }

            if (e is IOException or UnauthorizedAccessException or LinuxException)
            {
                throw new SnapshotException($"the snapshot cannot be written to {folder}: {e.Message}", e);
            }

            throw;
        }
    }

    /// <summary>The copies of disks that a snapshot has.</summary>
    public static IEnumerable<string> Disks(string folder) =>
        Directory.GetFiles(folder, SnapshotFiles.DiskPrefix + "*").Where(path => !path.EndsWith(TemporarySuffix, StringComparison.Ordinal));

    /// <summary>Reads and checks a snapshot's state.</summary>
    /// <exception cref="SnapshotException">There is none, or it is damaged, foreign or newer; the message names the file and the part.</exception>
    public static MachineState ReadState(string folder)
    {
        string path = Path.Combine(folder, SnapshotFiles.State);
        try
        {
            return StateReader.Read<MachineState>(ReadStateBytes(folder), MachineElements.Describe);
        }
        catch (StateFormatException e)
        {
            throw new SnapshotException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>The state as it was written, for those who look at it without knowing all of it.</summary>
    /// <exception cref="SnapshotException">There is none, or the file is no snapshot's.</exception>
    public static byte[] ReadStateBytes(string folder)
    {
        string path = Path.Combine(folder, SnapshotFiles.State);
        return OpenEnvelope(ReadFile(path, MaxStateFileBytes), path);
    }

    /// <summary>The state in an answer to <c>vm.state</c>, which is made as the file is.</summary>
    /// <param name="from">Where it comes from, for messages.</param>
    /// <exception cref="SnapshotException">It is none.</exception>
    public static byte[] StateBytes(byte[] envelope, string from) => OpenEnvelope(envelope, from);

    /// <summary>The configuration's JSON.</summary>
    /// <exception cref="SnapshotException">There is none.</exception>
    public static byte[] ReadConfig(string folder) => ReadFile(Path.Combine(folder, SnapshotFiles.Config), MaxConfigFileBytes);

    /// <summary>Two that write to one folder would remove and rename each other's files.</summary>
    private static DirectoryLock Lock(string folder)
    {
        try
        {
            return DirectoryLock.TryTake(folder) ?? throw new SnapshotException($"{folder}: another snapshot is being written to it");
        }
        catch (LinuxException e)
        {
            throw new SnapshotException($"the snapshot cannot be written to {folder}: {e.Message}", e);
        }
    }

    private static SafeFileHandle Create(string folder, string name, List<string> made)
    {
        string path = Path.Combine(folder, name + TemporarySuffix);

        // What an earlier process left behind when it was killed.
        File.Delete(path);
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        made.Add(path);
        return file;
    }

    private static void WriteFile(string folder, string name, ReadOnlySpan<byte> contents, List<string> made)
    {
        using var file = Create(folder, name, made);
        RandomAccess.Write(file, contents, 0);
        RandomAccess.FlushToDisk(file);
    }

    private static byte[] ReadFile(string path, long limit)
    {
        try
        {
            using SafeFileHandle file = RegularFile.OpenRead(path);
            long length = RandomAccess.GetLength(file);
            if (length > limit)
            {
                throw new SnapshotException($"{path} has {length} bytes; a snapshot's has at most {limit}");
            }

            var bytes = new byte[length];
            int done = 0;
            for (int read = -1; done < bytes.Length && read != 0; done += read)
            {
                read = RandomAccess.Read(file, bytes.AsSpan(done), done);
            }

            return bytes[..done];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SnapshotException($"{path} cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The state as JSON, because the file's name says so: tools that copy or list snapshots expect nothing else.</summary>
    private static byte[] Envelope(byte[] state)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("format", FormatName);
            json.WriteNumber("version", StateFormat.Version);
            json.WriteBase64String("state", state);
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    private static byte[] OpenEnvelope(byte[] file, string path)
    {
        try
        {
            string? format = null;
            byte[]? state = null;
            var json = new Utf8JsonReader(file, new JsonReaderOptions { MaxDepth = 2 });
            while (json.Read())
            {
                if (json.TokenType != JsonTokenType.PropertyName)
                {
                    continue;
                }

                string? name = json.GetString();
                json.Read();
                switch (name)
                {
                    case "format":
                        format = json.GetString();
                        break;
                    case "state":
                        state = json.GetBytesFromBase64();
                        break;
                }
            }

            return format == FormatName && state is not null
                ? state
                : throw new SnapshotException($"{path} is no snapshot of cnvm: \"format\" is not \"{FormatName}\"");
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException)
        {
            throw new SnapshotException($"{path} is no snapshot of cnvm, or is cut off or damaged: {e.Message}", e);
        }
    }
}
