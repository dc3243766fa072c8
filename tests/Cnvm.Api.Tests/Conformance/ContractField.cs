namespace Cnvm.Api.Tests.Conformance;

/// <summary>A field of one of the contract's schemas.</summary>
/// <param name="Version">v51, v54, both, or code.</param>
/// <param name="Type">As written in contract.txt.</param>
/// <param name="Default">As written there; null for none.</param>
internal sealed record ContractField(string Version, string Schema, string Name, string Type, bool IsRequired, string? Default);
