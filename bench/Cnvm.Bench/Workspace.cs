using System.Diagnostics;
using System.Globalization;

namespace Cnvm.Bench;

/// <summary>Where the programs and images under measurement are, and a directory for what a run needs; removed at the end.</summary>
internal sealed class Workspace : IDisposable
{
    private readonly Dictionary<string, string> _compiled = [];
    private double? _cyclesPerNanosecond;

    public Workspace()
    {
        Root = FindRoot();
        Directory = System.IO.Directory.CreateTempSubdirectory("cnvm-bench-").FullName;
    }

    /// <summary>The directory that holds cnvm.sln.</summary>
    public string Root { get; }

    /// <summary>Temporary files of this run.</summary>
    public string Directory { get; }

    /// <summary>The program that measures when another one starts.</summary>
    public string Launcher => Compile("launch");

    /// <summary>Cycles of a guest's time stamp counter in a nanosecond, as KVM says.</summary>
    public double CyclesPerNanosecond => _cyclesPerNanosecond ??= int.Parse(Output(Compile("kvm_loop"), "--tsc-khz"), CultureInfo.InvariantCulture) / 1e6;

    /// <summary>cnvm's program as users run it.</summary>
    /// <exception cref="UnavailableException">It has not been built.</exception>
    public string CnvmProgram =>
        Existing(Environment.GetEnvironmentVariable("CNVM_VMM") ?? Path.Combine(Root, "out", "bin", "cnvm-vmm"), "'make build' makes it");

    /// <summary>The command line for people.</summary>
    /// <exception cref="UnavailableException">It has not been built.</exception>
    public string CliProgram => Existing(Environment.GetEnvironmentVariable("CNVM_CLI") ?? Path.Combine(Root, "out", "bin", "cnvm"), "'make build' makes it");

    /// <summary>containerd's shim, as published.</summary>
    /// <exception cref="UnavailableException">It has not been built.</exception>
    public string ShimProgram =>
        Existing(Environment.GetEnvironmentVariable("CNVM_SHIM") ?? Path.Combine(Root, "out", "bin", "containerd-shim-cnvm-v2"), "'make build' makes it");

    /// <summary>QEMU as the PATH has it.</summary>
    /// <exception cref="UnavailableException">It is not installed.</exception>
    public static string QemuProgram
    {
        get
        {
            const string Name = "qemu-system-x86_64";
            string? found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
                .Select(folder => Path.Combine(folder, Name)).FirstOrDefault(System.IO.File.Exists);
            return found ?? throw new UnavailableException($"{Name} is not installed");
        }
    }

    /// <summary>A guest image.</summary>
    /// <exception cref="UnavailableException">It has not been made.</exception>
    public string Image(string name) =>
        Existing(Path.Combine(Environment.GetEnvironmentVariable("CNVM_IMAGES") ?? Path.Combine(Root, "out", "images"), name), "'make images' makes it");

    /// <summary>A path in <see cref="Directory"/>.</summary>
    public string File(string name) => Path.Combine(Directory, name);

    /// <summary>Compiles bench/peers/NAME.c once and returns the program.</summary>
    public string Compile(string name)
    {
        if (_compiled.TryGetValue(name, out string? program))
        {
            return program;
        }

        program = File(name);
        // Static: what the loader costs is no part of a figure.
        string[] arguments = ["-O2", "-static", "-Wall", "-Wextra", "-o", program, Path.Combine(Root, "bench", "peers", name + ".c")];
        Output("gcc", arguments);
        _compiled.Add(name, program);
        return program;
    }

    public void Dispose() => System.IO.Directory.Delete(Directory, recursive: true);

    /// <summary>Runs a program to its end and returns what it printed.</summary>
    public static string Output(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0
                ? output
                : throw new MeasurementException($"{Path.GetFileName(program)} {arguments[^1]} failed: {error.GetAwaiter().GetResult()}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new UnavailableException($"{program} does not run: {e.Message}");
        }
    }

    private static string Existing(string path, string advice) =>
        System.IO.File.Exists(path) ? path : throw new UnavailableException($"{path} is missing; {advice}");

    private static string FindRoot()
    {
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); d is not null; d = d.Parent)
        {
            if (System.IO.File.Exists(Path.Combine(d.FullName, "cnvm.sln")))
            {
                return d.FullName;
            }
        }

        throw new UnavailableException($"no cnvm.sln in or above {AppContext.BaseDirectory}");
    }
}
