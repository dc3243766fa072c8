using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Tests;

/// <summary>
/// Every struct and constant that mirrors C is compared with the system's headers: C that prints sizes, offsets and values is
/// generated from the attributes, compiled and run.
/// </summary>
public sealed class AbiTests
{
    private const BindingFlags AllFields = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
    private const BindingFlags AllConstants = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private static IEnumerable<Type> Types => typeof(Libc).Assembly.GetTypes()
        .Where(t => !t.IsDefined(typeof(CompilerGeneratedAttribute)) && t.FullName!.StartsWith("Cnvm.Linux", StringComparison.Ordinal));

    private static IEnumerable<Type> Structs => Types.Where(t => t.IsValueType && t.IsDefined(typeof(AbiAttribute)));

    private static IEnumerable<Type> ConstantClasses => Types.Where(t => t.IsClass && t.IsDefined(typeof(AbiAttribute)));

    public static TheoryData<string> Mirrors => new(Structs.Concat(ConstantClasses).Select(t => t.FullName!).Order());

    [SkippableTheory]
    [MemberData(nameof(Mirrors))]
    public void MirrorMatchesTheHeaders(string name)
    {
        Skip.IfNot(HasCompiler, "gcc is not installed");
        Type type = typeof(Libc).Assembly.GetType(name)!;
        var expected = new List<(string What, string Expression, ulong Value)>();
        foreach (AbiAttribute abi in type.GetCustomAttributes<AbiAttribute>().Where(a => a.Type is not null))
        {
            DescribeStruct(type, abi, expected);
        }

        DescribeConstants(type, expected);

        Assert.NotEmpty(expected);
        Dictionary<string, ulong> actual = Evaluate(type, expected);
        string[] wrong =
        [
            .. expected.Where(e => actual.TryGetValue(e.What, out ulong v) && v != e.Value)
                .Select(e => $"{e.What}: here {e.Value}, in C {actual[e.What]}"),
        ];
        Assert.Empty(wrong);
    }

    /// <summary>Whoever adds a struct for the kernel or a constant of C must say which, or nothing checks it.</summary>
    [Fact]
    public void EveryMirrorSaysWhatItMirrors()
    {
        IEnumerable<string> structs = Types
            .Where(t => t.IsValueType && !t.IsEnum && !t.IsDefined(typeof(AbiAttribute)))
            .Where(t => IsCName(t.Name) || t.IsExplicitLayout || PassedToC.Contains(t))
            .Select(t => t.FullName!);
        IEnumerable<string> classes = Types
            .Where(t => !t.IsDefined(typeof(AbiAttribute)) && Constants(t).Any())
            .Select(t => t.FullName!);
        Assert.Empty(structs.Concat(classes));
    }

    private static bool HasCompiler => Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(d => File.Exists(Path.Combine(d, "gcc")));

    /// <summary>Structs that some C function takes a pointer to.</summary>
    private static HashSet<Type> PassedToC => [.. Types
        .SelectMany(t => t.GetMethods(AllConstants))
        .Where(m => m.IsDefined(typeof(LibraryImportAttribute)) || m.IsDefined(typeof(DllImportAttribute)))
        .SelectMany(m => m.GetParameters())
        .Where(p => p.ParameterType.IsPointer || p.ParameterType.IsByRef)
        .Select(p => p.ParameterType.GetElementType()!)
        .Where(t => t.Assembly == typeof(Libc).Assembly)];

    private static bool IsCName(string name) => char.IsAsciiLetterLower(name[0]);

    /// <summary>Constants in the spelling of C macros and enumerators.</summary>
    private static IEnumerable<FieldInfo> Constants(Type type) => type.GetFields(AllConstants)
        .Where(f => (f.IsLiteral || (f.IsStatic && f.IsInitOnly && f.FieldType.IsPrimitive))
            && f.Name.Contains('_') && f.Name.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c) || c == '_'))
        .Concat(type.GetFields(AllConstants).Where(f => f.IsLiteral && f.DeclaringType!.IsDefined(typeof(AbiAttribute)) && !f.Name.Contains('_')
            && f.Name.Length > 2 && f.Name.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c))));

    private static void DescribeStruct(Type type, AbiAttribute abi, List<(string What, string Expression, ulong Value)> expected)
    {
        string c = abi.Type!;
        if (!abi.Prefix)
        {
            expected.Add(("size", $"sizeof({c})", (ulong)SizeOf(type)));
        }

        foreach (FieldInfo field in type.GetFields(AllFields))
        {
            string name = field.GetCustomAttribute<AbiFieldAttribute>()?.Name ?? field.Name;
            if (name.Length == 0)
            {
                continue;
            }

            expected.Add(($"offset of {field.Name}", $"__builtin_offsetof({c}, {name})", (ulong)Marshal.OffsetOf(type, field.Name)));
            expected.Add(($"size of {field.Name}", $"sizeof((({c} *)0)->{name})", (ulong)FieldSize(field)));
        }
    }

    private static void DescribeConstants(Type type, List<(string What, string Expression, ulong Value)> expected)
    {
        foreach (FieldInfo field in Constants(type))
        {
            string name = field.GetCustomAttribute<AbiFieldAttribute>()?.Name ?? field.Name;
            object value = field.IsLiteral ? field.GetRawConstantValue()! : field.GetValue(null)!;
            expected.Add((field.Name, name, Bits(value)));
        }
    }

    // Compared as 64 bits; what is negative here is sign-extended as C does.
    private static ulong Bits(object value) => value switch
    {
        nint n => (ulong)n,
        nuint n => n,
        ulong u => u,
        _ => unchecked((ulong)Convert.ToInt64(value)),
    };

    private static int FieldSize(FieldInfo field) => field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer
        ? buffer.Length * SizeOf(buffer.ElementType)
        : SizeOf(field.FieldType);

    private static int SizeOf(Type type) => type.IsPointer
        ? nint.Size
        : (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    private static Dictionary<string, ulong> Evaluate(Type type, List<(string What, string Expression, ulong Value)> expected)
    {
        string[] optional =
        [
            .. type.IsDefined(typeof(AbiNewerAttribute))
                ? expected.Select(e => e.What)
                : type.GetFields(AllFields | AllConstants).Where(f => f.IsDefined(typeof(AbiNewerAttribute)))
                    .SelectMany(f => new[] { f.Name, $"offset of {f.Name}", $"size of {f.Name}" }),
        ];
        var source = new StringBuilder("#define _GNU_SOURCE\n");
        foreach (string header in type.GetCustomAttributes<AbiAttribute>().SelectMany(a => a.Header.Split(' ')).Distinct())
        {
            source.Append($"#include <{header}>\n");
        }

        source.Append("#include <stdio.h>\nint main(void) {\n");
        foreach ((string what, string expression, _) in expected)
        {
            // Newer macros are compared where the headers have them; structs and enumerators leave nothing to ask about.
            bool maybe = optional.Contains(what);
            source.Append(maybe ? $"#ifdef {expression}\n" : string.Empty);
            source.Append($"printf(\"{what}=%llu\\n\", (unsigned long long)({expression}));\n");
            source.Append(maybe ? "#endif\n" : string.Empty);
        }

        source.Append("return 0; }\n");
        if (optional.Length > 0 && type.IsValueType)
        {
            return [];
        }

        string folder = Directory.CreateTempSubdirectory("cnvm-abi-").FullName;
        try
        {
            string file = Path.Combine(folder, "abi.c");
            File.WriteAllText(file, source.ToString());
            Run("gcc", "-w", "-o", Path.Combine(folder, "abi"), file);
            return Run(Path.Combine(folder, "abi")).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split('='))
                .ToDictionary(p => p[0], p => ulong.Parse(p[1]));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program}: {errors.Result}");
        return output;
    }
}
