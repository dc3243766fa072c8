using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Cnvm.Linux;
using Cnvm.Sandbox.Machine;

namespace Cnvm.Sandbox.Images;

// Images that are no files of this machine: skopeo copies them into layouts, which stay in the store.
public sealed partial class ImageStore
{
    private const string Skopeo = "skopeo";
    private const string LayoutPrefix = "layout-";
    private const string FetchingPrefix = "fetching-";
    private const int NameDigits = 16;
    private const int SigTerm = 15;

    /// <summary>Transports of skopeo that lead to a registry, or into another engine's store (containers-transports(5)).</summary>
    private static readonly string[] RemoteKinds = ["docker://", "docker-daemon:", "containers-storage:"];

    /// <summary>Whether an image is none of this machine's files, but one that skopeo has to fetch: <c>docker://NAME</c>, for example.</summary>
    public static bool IsRemote(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return Array.Exists(RemoteKinds, k => source.StartsWith(k, StringComparison.Ordinal));
    }

    /// <summary>
    /// Has skopeo copy an image into a layout in the store, unless there is one of that name already. It says what it does on this process's standard error,
    /// and uses the user's configuration and credentials (<c>skopeo login</c>).
    /// </summary>
    /// <param name="source">One that <see cref="IsRemote"/> is true of.</param>
    /// <param name="again">Also if there is one: the name may mean another image by now. If that fails, the one that was there stays.</param>
    /// <param name="cancellation">Ends skopeo.</param>
    /// <returns>The layout's folder.</returns>
    /// <exception cref="SandboxException">There is no skopeo in PATH, or it fails.</exception>
    /// <exception cref="IOException">The host's file system fails.</exception>
    public Task<string> FetchAsync(string source, bool again = false, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(source);
        return Task.Run(() => Fetch(source, again, cancellation), cancellation);
    }

    private string Fetch(string source, bool again, CancellationToken cancellation)
    {
        string layout = Path.Combine(Folder, LayoutPrefix + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)))[..NameDigits]);
        if (!again && Directory.Exists(layout))
        {
            return layout;
        }

        string program = ProgramPath.Find(Skopeo) ?? throw new SandboxException(
            SandboxErrorKind.Host,
            $"{source} is fetched by the program {Skopeo}, which is in no folder of PATH: install it (Debian: apt install skopeo), or have another machine that has it do "
            + $"'skopeo copy {source} oci:FOLDER', and give FOLDER here");
        if (Folder.Contains(':', StringComparison.Ordinal))
        {
            throw new SandboxException(SandboxErrorKind.Invalid, $"{Folder} has a colon in its path, which {Skopeo} takes for the end of it: choose another folder for images");
        }

        string fetching = Path.Combine(Folder, FetchingPrefix + Convert.ToHexStringLower(KernelRandom.Bytes(6)));
        using DirectoryLock own = BeginFetch(fetching);
        try
        {
            string fetched = Path.Combine(fetching, LayoutPrefix);
            Copy(program, source, fetched, cancellation);
            using PrivateDirectory taken = OpenFolder();
            if (Directory.Exists(layout))
            {
                if (!again)
                {
                    // Another process was faster, and may be reading it.
                    return layout;
                }

                // Nobody is to find half of it.
                Directory.Move(layout, Path.Combine(fetching, "old"));
            }

            Directory.Move(fetched, layout);
            return layout;
        }
        finally
        {
            // Others look meanwhile for what killed processes have left.
            using PrivateDirectory taken = OpenFolder();
            Directory.Delete(fetching, recursive: true);
        }
    }

    /// <summary>Makes a folder that is this fetch's as long as it is locked, and removes those of processes that were killed.</summary>
    private DirectoryLock BeginFetch(string fetching)
    {
        using PrivateDirectory taken = OpenFolder();
        foreach (string left in Directory.EnumerateDirectories(Folder, FetchingPrefix + "*"))
        {
            using DirectoryLock? nobodys = DirectoryLock.TryTake(left);
            if (nobodys is not null)
            {
                Directory.Delete(left, recursive: true);
            }
        }

        Directory.CreateDirectory(fetching);
        return DirectoryLock.TryTake(fetching) ?? throw new SandboxException(SandboxErrorKind.Host, $"{fetching} was locked by another process as soon as it was made");
    }

    private static void Copy(string program, string source, string layout, CancellationToken cancellation)
    {
        // Its messages are for people, and standard output is the container's.
        const int Stderr = 2;
        using var nothing = new FileDescriptor(LinuxError.Check(Libc.open("/dev/null", Libc.O_RDONLY | Libc.O_CLOEXEC, 0), "open /dev/null"));
        using DetachedProcess process = DetachedProcess.StartHere(program, [Skopeo, "copy", source, $"oci:{layout}"], nothing.Value, Stderr, Stderr);
        using (cancellation.Register(() => process.Signal(SigTerm)))
        {
            Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], -1);
        }

        int exitCode = process.ExitCode() ?? 0;
        cancellation.ThrowIfCancellationRequested();
        if (exitCode != 0 || !File.Exists(Path.Combine(layout, OciLayout.Marker)))
        {
            throw new SandboxException(
                SandboxErrorKind.Host,
                string.Create(CultureInfo.InvariantCulture, $"{Skopeo} did not fetch {source}: it ended with exit code {exitCode}, and says why on standard error ('skopeo inspect {source}' asks for it alone)"));
        }
    }
}
