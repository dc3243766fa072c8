using System.Globalization;
using System.IO.Pipes;
using Cnvm.Linux;
using Cnvm.Shim.Tasks;

namespace Cnvm.Shim;

/// <summary>
/// The call <c>start</c>: makes a process that serves a container or pod, or finds the one of its pod, and says where it is. containerd reads stdout and
/// stderr of this to their end, so the process must have neither.
/// </summary>
internal static class StartCommand
{
    /// <summary>What a process that serves says; anything else is why it does not.</summary>
    public const string Ready = "ready\n";

    private const int MostBytes = 64 * 1024;

    /// <returns>The shim's address.</returns>
    /// <exception cref="ShimException">No process serves; the message says why.</exception>
    public static string Run(ShimArguments arguments)
    {
        string directory = arguments.Bundle.Length > 0 ? arguments.Bundle : Environment.CurrentDirectory;
        Bundle bundle = Bundle.Load(directory);
        var identity = new ShimIdentity(arguments.Address, arguments.Namespace, bundle.PodId ?? arguments.Id);
        bool isServed = IsServed(identity.Socket);
        if (bundle.PodId is not null && !isServed)
        {
            throw new ShimException($"container {arguments.Id} belongs to pod {bundle.PodId}, which has no shim: its first container has to be started before, and to be there still");
        }

        if (!isServed)
        {
            Launch(arguments, identity);
        }

        // containerd looks for shims there when it is started anew.
        File.WriteAllText(Path.Combine(directory, "address"), identity.SocketUri);
        return identity.SocketUri;
    }

    private static bool IsServed(string socket)
    {
        using UnixStream? stream = UnixStream.TryConnect(socket);
        return stream is not null;
    }

    private static void Launch(ShimArguments arguments, ShimIdentity identity)
    {
        string program = Environment.ProcessPath ?? throw new ShimException("the path of this program is not known: is /proc mounted?");
        string[] words =
        [
            program, "-namespace", arguments.Namespace, "-id", identity.Id, "-address", arguments.Address, "-socket", identity.Socket,
            .. arguments.Debug ? (string[])["-debug"] : [],
        ];
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.None);
        int output = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        using DetachedProcess process = DetachedProcess.Start(program, words, output, output);
        pipe.DisposeLocalCopyOfClientHandle();
        Protect(process.Id);
        string answer = ReadAnswer(pipe);
        if (answer != Ready)
        {
            throw new ShimException(answer.Length > 0 ? $"the shim did not start: {answer.Trim()}" : "the shim ended at its start without a word");
        }
    }

    // To the end only when it ends: a runtime may keep copies of its process's first descriptors.
    private static string ReadAnswer(Stream stream)
    {
        byte[] bytes = new byte[MostBytes];
        int count = 0;
        while (count < bytes.Length && stream.Read(bytes, count, bytes.Length - count) is > 0 and int read)
        {
            count += read;
            if (System.Text.Encoding.UTF8.GetString(bytes, 0, count) == Ready)
            {
                return Ready;
            }
        }

        return System.Text.Encoding.UTF8.GetString(bytes, 0, count);
    }

    // A little more than this process, as containerd's own shims: what the kernel ends for memory is to be a guest.
    private static void Protect(int process)
    {
        const int Most = 1000;
        string own = File.ReadAllText("/proc/self/oom_score_adj");
        int score = Math.Min(int.Parse(own, CultureInfo.InvariantCulture) + 1, Most);
        try
        {
            File.WriteAllText($"/proc/{process}/oom_score_adj", score.ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended, and its answer says why; or the host keeps scores to itself, and the inherited one is nearly right.
            return;
        }
    }
}
