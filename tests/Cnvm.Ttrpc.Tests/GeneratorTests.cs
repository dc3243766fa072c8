using Cnvm.Ttrpc.Generator;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Cnvm.Ttrpc.Tests;

/// <summary>What the generator cannot write stops the build, with the property's name.</summary>
public sealed class GeneratorTests
{
    [Fact]
    public void A_message_is_written() => Assert.DoesNotContain("#error", Generate("[ProtoMember(1)] public string Name { get; init; } = \"\";"), StringComparison.Ordinal);

    [Theory]
    [InlineData("[ProtoMember(1)] public decimal X { get; init; }", "M.X: decimal has no form in protobuf")]
    [InlineData("[ProtoMember(1)] public M X { get; init; }", "M.X: N.M has no form in protobuf")]
    [InlineData("[ProtoMember(1)] public System.Collections.Generic.IReadOnlyDictionary<int, string> X { get; init; }", "has no form in protobuf")]
    [InlineData("[ProtoMember(1)] public System.Collections.Generic.List<string> X { get; init; }", "has no form in protobuf")]
    [InlineData("[ProtoMember(0)] public int X { get; init; }", "M.X: 0 is no field number")]
    [InlineData("[ProtoMember(1)] public int X { get; init; } [ProtoMember(1)] public int Y { get; init; }", "M.Y: 1 is no field number (1 to 536870911), or another property has it")]
    public void A_message_that_is_none_is_an_error(string members, string error) =>
        Assert.Contains(error, Generate(members).Split('\n').Single(l => l.StartsWith("#error ", StringComparison.Ordinal)), StringComparison.Ordinal);

    private static string Generate(string members)
    {
        string source = "#nullable enable\nusing Cnvm.Ttrpc;\nnamespace N;\n[ProtoMessage] public sealed partial record M { " + members + " }\n";
        string framework = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        CSharpCompilation compilation = CSharpCompilation.Create(
            "messages",
            [CSharpSyntaxTree.ParseText(source)],
            [
                MetadataReference.CreateFromFile(typeof(object).Assembly.Location),
                MetadataReference.CreateFromFile(Path.Combine(framework, "System.Runtime.dll")),
                MetadataReference.CreateFromFile(typeof(ProtoWriter).Assembly.Location),
            ]);
        GeneratorDriverRunResult result = CSharpGeneratorDriver.Create(new ProtoMessageGenerator()).RunGenerators(compilation).GetRunResult();
        return Assert.Single(result.GeneratedTrees).ToString();
    }
}
