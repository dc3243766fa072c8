using System.Globalization;
using System.Text;
using Cnvm.Linux;
using Cnvm.Sandbox.Machine;

namespace Cnvm.Sandbox;

/// <summary>
/// Templates in a folder of this user's, each for one kind of sandbox: the same VMM, kernel and initramfs (files with the same size and time of change),
/// flags, processors, memory and number of folders. One is made when it is first asked for. Nothing is ever removed: the folder may be emptied when no sandbox
/// from it lives. Any thread, any number of processes.
/// </summary>
/// <param name="folder">Made (mode 0700) if it is missing; must belong to this user, and be open to nobody else: what is in it has the memory of guests.</param>
public sealed class TemplateStore(string folder)
{
    private const string Making = "making";
    private const string Saved = "saved";
    private const string About = "about";
    private readonly string _folder = Path.GetFullPath(folder);

    /// <summary>The template for such sandboxes, which is made if there is none: that takes as long as a start and a snapshot.</summary>
    /// <param name="options">
    /// Of the sandbox that will go on from it, whose name and own folder are used meanwhile. They do not matter afterwards, nor do host name and time
    /// limits, nor which folders are shared, only how many, and which of them are read-only. It has no network but that of a namespace, which is not the template's.
    /// </param>
    /// <param name="cancellation">Gives it up.</param>
    /// <returns>For <see cref="SandboxOptions.Template"/>; null while another process is just making it: this sandbox boots then.</returns>
    /// <exception cref="SandboxException">The options are wrong, or the guest does not start, or cannot be saved.</exception>
    /// <exception cref="IOException">The folder cannot be used.</exception>
    public async Task<string?> OpenAsync(SandboxOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        string about = Describe(options);
        string place = Path.Combine(_folder, NameOf(about));
        string making = Path.Combine(_folder, Making);
        Directory.CreateDirectory(Path.GetDirectoryName(_folder) ?? "/");
        PrivateDirectory.Open(_folder, create: true)!.Dispose();
        if (IsThere(place, about))
        {
            return Path.Combine(place, Saved);
        }

        Directory.CreateDirectory(making);
        using DirectoryLock? own = DirectoryLock.TryTake(making);
        if (own is null)
        {
            return null;
        }

        // It may have been made between the look and the lock.
        if (!IsThere(place, about))
        {
            await MakeAsync(options, about, Path.Combine(making, NameOf(about)), place, cancellation).ConfigureAwait(false);
        }

        return Path.Combine(place, Saved);
    }

    private static async Task MakeAsync(SandboxOptions options, string about, string unfinished, string place, CancellationToken cancellation)
    {
        Remove(Path.GetDirectoryName(unfinished)!);
        try
        {
            await SandboxVm.MakeTemplateAsync(
                options with { Template = null, Network = options.Network == SandboxNetwork.Namespace ? SandboxNetwork.None : options.Network }, Path.Combine(unfinished, Saved), cancellation).ConfigureAwait(false);
            await File.WriteAllTextAsync(Path.Combine(unfinished, About), about, cancellation).ConfigureAwait(false);
            if (Directory.Exists(place))
            {
                Directory.Delete(place, recursive: true);
            }

            Directory.Move(unfinished, place);
        }
        catch
        {
            Remove(Path.GetDirectoryName(unfinished)!);
            throw;
        }
    }

    /// <summary>Removes what a process has left that was killed while it made a template.</summary>
    private static void Remove(string making)
    {
        foreach (string left in Directory.GetDirectories(making))
        {
            Directory.Delete(left, recursive: true);
        }
    }

    private static bool IsThere(string place, string about) =>
        File.Exists(Path.Combine(place, About)) && File.ReadAllText(Path.Combine(place, About)) == about;

    private static string Describe(SandboxOptions options)
    {
        var text = new StringBuilder();
        AddFile(text, "vmm", VmmProgram.Find(options.VmmPath));
        AddFile(text, "kernel", options.Kernel);
        AddFile(text, "initramfs", options.Initramfs);
        text.Append(CultureInfo.InvariantCulture, $"hypervisor {options.Hypervisor}\nprocessors {options.Cpus}\nbytes {options.MemoryBytes}\n");
        text.Append(CultureInfo.InvariantCulture, $"command line {options.KernelArguments}\n");
        foreach (SharedFolder shared in options.Folders)
        {
            text.Append(shared.ReadOnly ? "folder, read-only\n" : "folder\n");
        }

        foreach (string word in options.VmmArguments)
        {
            text.Append(CultureInfo.InvariantCulture, $"flag {word}\n");
        }

        return text.ToString();
    }

    private static void AddFile(StringBuilder text, string what, string? path)
    {
        // What is missing is for who boots the guest to say.
        var file = new FileInfo(path ?? "/");
        text.Append(CultureInfo.InvariantCulture, $"{what} {file.FullName} {(file.Exists ? file.Length : -1)} {file.LastWriteTimeUtc.Ticks}\n");
    }

    /// <summary>Sixteen digits (FNV-1a). Texts of the same name would replace each other's templates, and nothing worse: the text is compared, too.</summary>
    private static string NameOf(string text)
    {
        const ulong Basis = 0xcbf29ce484222325;
        const ulong Prime = 0x100000001b3;
        ulong hash = Basis;
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            hash = (hash ^ b) * Prime;
        }

        return hash.ToString("x16", CultureInfo.InvariantCulture);
    }
}
