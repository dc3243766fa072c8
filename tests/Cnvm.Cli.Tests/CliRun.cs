using System.Diagnostics;

namespace Cnvm.Cli.Tests;

/// <summary>The real programs with a runtime directory of their own, each run bounded in time.</summary>
public sealed class CliRun : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly List<Process> _started = [];

    public CliRun()
    {
        Folder = Directory.CreateTempSubdirectory("cnvm-cli").FullName;
        File.SetUnixFileMode(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Where the tests' files are; <c>cnvm</c> in it is the runtime directory.</summary>
    public string Folder { get; }

    public string RuntimeFolder => Path.Combine(Folder, "cnvm");

    public static string ProgramPath(string name) => Path.Combine(AppContext.BaseDirectory, name);

    internal CliResult Run(params string[] args) => RunWithInput(null, args);

    internal CliResult RunWithInput(string? input, params string[] args) => Finish(Start("cnvm", args), input);

    /// <summary>Runs a shell command line in which <c>$CNVM</c> is the program.</summary>
    internal CliResult Shell(string commandLine) => Finish(Start("/bin/bash", "-c", commandLine), null);

    internal Process Start(string program, params string[] args)
    {
        var info = new ProcessStartInfo(program.StartsWith('/') ? program : ProgramPath(program))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Folder,
        };
        foreach (string arg in args)
        {
            info.ArgumentList.Add(arg);
        }

        // Other VMs of this machine are none of a test's business.
        info.Environment["CNVM_RUNTIME_DIR"] = RuntimeFolder;
        info.Environment["CNVM"] = ProgramPath("cnvm");
        info.Environment.Remove("CNVM_VMM");
        var process = Process.Start(info)!;
        _started.Add(process);
        return process;
    }

    internal static CliResult Finish(Process process, string? input)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (input is not null)
        {
            process.StandardInput.Write(input);
        }

        process.StandardInput.Close();
        bool ended = process.WaitForExit(Limit);
        if (!ended)
        {
            process.Kill();
        }

        Assert.True(ended, $"the program did not end in {Limit}; it had printed: {error.Result}");
        return new CliResult(process.ExitCode, output.Result, error.Result);
    }

    public void Dispose()
    {
        foreach (Process process in _started)
        {
            if (!process.HasExited)
            {
                process.Kill();
                process.WaitForExit(Limit);
            }

            process.Dispose();
        }

        foreach (string entry in Directory.Exists(RuntimeFolder) ? Directory.GetFiles(RuntimeFolder, "*.json") : [])
        {
            // A VMM that a test started in the background and did not end.
            string name = Path.GetFileNameWithoutExtension(entry);
            using var end = Process.Start(new ProcessStartInfo(ProgramPath("cnvm"), ["shutdown-vmm", name])
            {
                Environment = { ["CNVM_RUNTIME_DIR"] = RuntimeFolder },
            })!;
            end.WaitForExit(Limit);
        }

        Directory.Delete(Folder, recursive: true);
    }
}
