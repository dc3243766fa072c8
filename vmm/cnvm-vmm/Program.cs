using System.Diagnostics;
using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.CommandLine;

namespace Cnvm.VmmProgram;

/// <summary>The program <c>cnvm-vmm</c>: one process, one virtual machine.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            LaunchOptions options = LaunchOptions.Parse(args);
            if (options.ShowHelp)
            {
                ProgramOutput.Print(HelpText.Text);
                return 0;
            }

            if (options.ShowVersion)
            {
                ProgramOutput.Print(ProgramVersion.Describe(options.LogLevel));
                return 0;
            }

            if (options.ShowHostCapabilities)
            {
                ProgramOutput.Print(HostReport.Make(options, started));
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
            ProgramOutput.PrintError("cnvm-vmm", e);
            return 1;
        }
    }
}
