using System.Diagnostics;
using System.Text;
using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.CommandLine;

namespace Cnvm.VmmProgram;

/// <summary>The program <c>cnvm-vmm</c>: one process, one virtual machine.</summary>
internal static class Program
{
    private const int Stdout = 1;
    private const int Stderr = 2;

    // stdout and stderr are written without System.Console, whose encodings and terminal settings this program has no use for.
    private static int Main(string[] args)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            LaunchOptions options = LaunchOptions.Parse(args);
            if (options.ShowHelp)
            {
                Print(Stdout, HelpText.Text);
                return 0;
            }

            if (options.ShowVersion)
            {
                Print(Stdout, ProgramVersion.Describe(options.LogLevel));
                return 0;
            }

            if (options.ShowHostCapabilities)
            {
                Print(Stdout, HostReport.Make(options, started));
                return 0;
            }

            SmallPages.UseForProcess();
            OpenFileLimit.Raise();
            using var session = new VmmSession(options, started);
            return session.Run();
        }
        catch (Exception e) when (e is CommandLineException or VmmException or HypervisorException or IOException
            or UnauthorizedAccessException)
        {
            Print(Stderr, DescribeError(e));
            return 1;
        }
    }

    /// <summary>What went wrong and, indented, why.</summary>
    internal static string DescribeError(Exception error)
    {
        var text = new StringBuilder("cnvm-vmm: ").Append(error.Message);
        string said = error.Message;
        for (Exception? cause = error.InnerException; cause is not null; cause = cause.InnerException)
        {
            // Layers that only change an exception's type repeat its message.
            if (cause.Message != said)
            {
                text.Append("\n  because: ").Append(cause.Message);
                said = cause.Message;
            }
        }

        return text.ToString();
    }

    private static void Print(int fd, string text)
    {
        ReadOnlySpan<byte> bytes = Encoding.UTF8.GetBytes(text + "\n");
        while (bytes.Length > 0)
        {
            int written = FileIo.Write(fd, bytes);
            if (written <= 0)
            {
                return;
            }

            bytes = bytes[written..];
        }
    }
}
