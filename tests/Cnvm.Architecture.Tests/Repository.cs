using System.Runtime.CompilerServices;

namespace Cnvm.Architecture.Tests;

/// <summary>The checkout that these tests were built from.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>C# sources that people wrote, as paths relative to the root.</summary>
    public static IEnumerable<string> Sources() =>
        Directory.EnumerateFiles(Root, "*.cs", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(Root, f))
            .Where(f => !f.Split('/').Any(part => part is "obj" or "bin" or "out" || part.StartsWith('.')));

    /// <summary>Project files, as paths relative to the root.</summary>
    public static IEnumerable<string> Projects() =>
        Directory.EnumerateFiles(Root, "*.csproj", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Root, f));

    /// <summary>Fails with the list of <paramref name="offenders"/> unless there are none.</summary>
    public static void AssertNone(IEnumerable<string> offenders) => Assert.Equal("", string.Join('\n', offenders));

    private static string FindRoot([CallerFilePath] string thisFile = "")
    {
        for (DirectoryInfo? d = new FileInfo(thisFile).Directory; d is not null; d = d.Parent)
        {
            if (File.Exists(Path.Combine(d.FullName, "cnvm.sln")))
            {
                return d.FullName;
            }
        }

        throw new InvalidOperationException($"no cnvm.sln above {thisFile}");
    }
}
