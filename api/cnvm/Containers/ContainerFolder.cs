using System.Text.Json;
using Cnvm.Api.Registry;
using Cnvm.Linux;
using Cnvm.Sandbox;

namespace Cnvm.Cli.Containers;

/// <summary>
/// A container of <c>cnvm run</c> as it is written down, in a folder of its own in the runtime directory. A file in it is locked as long as the
/// process lives that keeps the container; what is left without one is of a process that was killed, and its VM is ended by whoever looks.
/// </summary>
internal sealed class ContainerFolder(string name)
{
    private const string FolderName = "containers";
    private const string OwnerName = "owner";
    private const string StateName = "state.json";
    private const string SettingsName = "settings.json";
    private const int KilledExitCode = 137;

    public string Name => name;

    public string Path { get; } = System.IO.Path.Combine(Root, name);

    /// <summary>What the container's first process says, when nobody is attached to it.</summary>
    public string OutputLog => System.IO.Path.Combine(Path, "output.log");

    /// <summary>What the process that keeps it says.</summary>
    public string KeeperLog => System.IO.Path.Combine(Path, "cnvm.log");

    private static string Root => System.IO.Path.Combine(VmRegistry.Folder, FolderName);

    /// <summary>All containers, by name.</summary>
    public static IReadOnlyList<ContainerFolder> List()
    {
        var folders = new List<ContainerFolder>();
        foreach (string path in Directory.Exists(Root) ? Directory.GetDirectories(Root) : [])
        {
            var folder = new ContainerFolder(System.IO.Path.GetFileName(path));
            if (File.Exists(folder.In(StateName)))
            {
                folders.Add(folder);
            }
        }

        folders.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return folders;
    }

    /// <summary>The container of this name, or the beginning of it.</summary>
    /// <exception cref="CliException">There is none, or it is not clear which.</exception>
    public static ContainerFolder Find(string name)
    {
        IReadOnlyList<ContainerFolder> all = List();
        List<ContainerFolder> meant = [.. all.Where(c => c.Name == name)];
        if (meant.Count == 0)
        {
            meant = [.. all.Where(c => c.Name.StartsWith(name, StringComparison.Ordinal))];
        }

        return meant.Count switch
        {
            1 => meant[0],
            0 => throw new CliException(ExitCode.NoSuchVm, $"there is no container '{name}' (see cnvm ps)"),
            _ => throw new CliException(ExitCode.NoSuchVm, $"'{name}' may be {string.Join(" or ", meant.Select(c => c.Name))}"),
        };
    }

    /// <summary>Whether there is something of this name, running or ended.</summary>
    public static bool Exists(string name) => Directory.Exists(System.IO.Path.Combine(Root, name));

    /// <summary>Makes the folder.</summary>
    /// <exception cref="CliException">The name is taken.</exception>
    public void Create()
    {
        VmRegistry.EnsureFolder();
        using PrivateDirectory all = PrivateDirectory.Open(Root, create: true)!;
        if (Directory.Exists(Path))
        {
            throw new CliException(ExitCode.Failure, $"there is a container '{name}' already: choose another name, or remove it (cnvm rm {name})");
        }

        Directory.CreateDirectory(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Makes this process the one that keeps the container, until the result is disposed.</summary>
    /// <exception cref="CliException">Another one does.</exception>
    public IDisposable Own() => OwnedFile.TryCreate(In(OwnerName))
        ?? throw new CliException(ExitCode.Failure, $"another process keeps the container '{name}'");

    public bool IsKept => File.Exists(In(OwnerName)) && OwnedFile.IsHeld(In(OwnerName));

    public void Write(RunSettings settings) => Write(SettingsName, JsonSerializer.SerializeToUtf8Bytes(settings, ContainerJsonContext.Default.RunSettings));

    public void Write(ContainerState state) => Write(StateName, JsonSerializer.SerializeToUtf8Bytes(state, ContainerJsonContext.Default.ContainerState));

    /// <exception cref="CliException">It is not there, or damaged.</exception>
    public RunSettings ReadSettings() => Read(SettingsName, json => JsonSerializer.Deserialize(json, ContainerJsonContext.Default.RunSettings));

    /// <summary>The state as it is now; a container whose process was killed has ended, and its VM is ended here.</summary>
    /// <exception cref="CliException">It is not there, or damaged.</exception>
    public ContainerState ReadState()
    {
        ContainerState state = Read(StateName, json => JsonSerializer.Deserialize(json, ContainerJsonContext.Default.ContainerState));
        if (state.ExitCode is not null || IsKept)
        {
            return state;
        }

        // Its process may have ended between the two looks.
        state = Read(StateName, json => JsonSerializer.Deserialize(json, ContainerJsonContext.Default.ContainerState));
        if (state.ExitCode is null)
        {
            if (state.Sandbox.Length > 0)
            {
                SandboxVm.CleanUp(state.Sandbox);
            }

            state = state with { ExitCode = KilledExitCode, Ended = DateTimeOffset.UtcNow };
            Write(state);
        }

        return state;
    }

    /// <summary>Removes what was written down.</summary>
    public void Remove()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    private string In(string file) => System.IO.Path.Combine(Path, file);

    /// <summary>Who reads meanwhile sees the old file or the new one.</summary>
    private void Write(string file, byte[] json)
    {
        File.WriteAllBytes(In(file + ".new"), json);
        File.Move(In(file + ".new"), In(file), overwrite: true);
    }

    private T Read<T>(string file, Func<byte[], T?> parse)
        where T : class
    {
        try
        {
            return parse(File.ReadAllBytes(In(file))) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CliException(ExitCode.Failure, $"{In(file)} does not describe a container: {e.Message}");
        }
    }
}
